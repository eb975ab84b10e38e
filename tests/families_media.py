"""Tiny configs of the models of the zoo that read sound, images or series, or join several."""

from __future__ import annotations

from typing import Any

from families_text import GPT, GROUPED, SEQUENCE

IMAGE = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SPEECH = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "conv_dim": (16, 16),
    "conv_stride": (2, 2),
    "conv_kernel": (3, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
STAGES = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TOWERS = {
    "text_config": TOWER | {"vocab_size": 96, "max_position_embeddings": 16},
    "vision_config": TOWER | {"image_size": 32, "patch_size": 8},
}
BACKBONE = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [16, 24, 32, 40],
    "depths": [1, 1, 1, 1],
    "layer_type": "bottleneck",
    "out_features": ["stage2", "stage3", "stage4"],
}
DETECTOR = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_queries": 5,
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "backbone_config": BACKBONE | {"out_features": ["stage4"]},
}


MEDIA_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    # speech
    "whisper": (
        "WhisperForConditionalGeneration",
        SEQUENCE | {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16},
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", SPEECH),
    "hubert": ("HubertForSequenceClassification", SPEECH),
    "speecht5": (
        "SpeechT5ForTextToSpeech",
        SPEECH
        | {
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "num_mel_bins": 8,
            "speech_decoder_prenet_units": 16,
            "speech_decoder_postnet_units": 16,
            "speaker_embedding_dim": 8,
        },
    ),
    "vits": (
        "VitsModel",
        {
            "vocab_size": 38,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 32,
            "flow_size": 16,
            "spectrogram_bins": 9,
            "upsample_initial_channel": 16,
            "upsample_rates": [2, 2],
            "upsample_kernel_sizes": [4, 4],
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3]],
            "prior_encoder_num_flows": 2,
            "prior_encoder_num_wavenet_layers": 2,
            "posterior_encoder_num_wavenet_layers": 2,
            "duration_predictor_num_flows": 2,
            "wavenet_kernel_size": 3,
        },
    ),
    # images
    "vit": ("ViTForImageClassification", IMAGE),
    "deit": ("DeiTForImageClassificationWithTeacher", IMAGE),
    "swin": (
        "SwinForImageClassification",
        {
            "image_size": 32,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [2, 1],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "convnext": (
        "ConvNextForImageClassification",
        {"num_stages": 2, "hidden_sizes": [16, 32], "depths": [1, 2]},
    ),
    "resnet": ("ResNetForImageClassification", STAGES),
    "regnet": ("RegNetForImageClassification", STAGES | {"groups_width": 8}),
    "beit": ("BeitForImageClassification", IMAGE | {"use_relative_position_bias": True}),
    "dinov2": ("Dinov2Model", IMAGE),
    "segformer": (
        "SegformerForSemanticSegmentation",
        {
            "num_encoder_blocks": 2,
            "depths": [1, 2],
            "sr_ratios": [2, 1],
            "hidden_sizes": [16, 32],
            "patch_sizes": [7, 3],
            "strides": [4, 2],
            "num_attention_heads": [1, 2],
            "mlp_ratios": [2, 2],
            "decoder_hidden_size": 16,
        },
    ),
    "clip": ("CLIPModel", TOWERS | {"projection_dim": 16}),
    "siglip": ("SiglipModel", TOWERS),
    "detr": ("DetrForObjectDetection", DETECTOR),
    "table-transformer": ("TableTransformerForObjectDetection", DETECTOR),
    "rt_detr": (
        "RTDetrForObjectDetection",
        {
            "backbone_config": BACKBONE
            | {"model_type": "rt_detr_resnet", "out_features": ["stage2", "stage3", "stage4"]},
            "encoder_hidden_dim": 32,
            "encoder_in_channels": [24, 32, 40],
            "encoder_layers": 1,
            "encoder_ffn_dim": 48,
            "encoder_attention_heads": 4,
            "d_model": 32,
            "num_queries": 5,
            "decoder_in_channels": [32, 32, 32],
            "decoder_ffn_dim": 48,
            "decoder_layers": 2,
            "decoder_attention_heads": 4,
        },
    ),
    # several models in one
    "llava": (
        "LlavaForConditionalGeneration",
        {
            "text_config": GROUPED | {"model_type": "llama"},
            "vision_config": TOWER
            | {"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8},
            "image_token_index": 95,
        },
    ),
    "vision-encoder-decoder": (
        "VisionEncoderDecoderModel",
        {
            "encoder": IMAGE | {"model_type": "vit"},
            "decoder": GPT
            | {"model_type": "gpt2", "add_cross_attention": True, "is_decoder": True},
        },
    ),
    # time series
    "patchtst": (
        "PatchTSTForPrediction",
        {
            "num_input_channels": 2,
            "context_length": 16,
            "patch_length": 4,
            "patch_stride": 4,
            "prediction_length": 4,
            "d_model": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        },
    ),
    "timesfm": (
        "TimesFmModelForPrediction",
        {
            "patch_length": 8,
            "context_length": 32,
            "horizon_length": 8,
            "hidden_size": 32,
            "intermediate_size": 48,
            "head_dim": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        },
    ),
    "time_series_transformer": (
        "TimeSeriesTransformerForPrediction",
        {
            "prediction_length": 4,
            "context_length": 8,
            "lags_sequence": [1, 2],
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "num_static_categorical_features": 1,
            "cardinality": [5],
            "embedding_dimension": [3],
        },
    ),
}
