"""Tiny configs of the text models of the zoo: decoders, mixtures, state spaces, encoders."""

from __future__ import annotations

from typing import Any

TEXT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = TEXT | {"num_key_value_heads": 2, "head_dim": 8}
GPT = {
    "vocab_size": 96,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
SEQUENCE = {
    "vocab_size": 96,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}

TEXT_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    # decoders
    "llama": ("LlamaForCausalLM", GROUPED),
    "mistral": ("MistralForSequenceClassification", GROUPED),
    "qwen2": ("Qwen2ForCausalLM", GROUPED | {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", GROUPED),
    "gemma": ("GemmaForCausalLM", GROUPED),
    "gemma2": ("Gemma2ForTokenClassification", GROUPED),
    "gemma3_text": ("Gemma3ForCausalLM", GROUPED),
    "phi": ("PhiForCausalLM", TEXT),
    "phi3": ("Phi3ForCausalLM", TEXT),
    "gpt2": ("GPT2LMHeadModel", GPT),
    "openai-gpt": ("OpenAIGPTDoubleHeadsModel", GPT),
    "imagegpt": ("ImageGPTForImageClassification", GPT),
    "decision_transformer": (
        "DecisionTransformerModel",
        {"hidden_size": 32, "n_layer": 2, "n_head": 4, "state_dim": 5, "act_dim": 3},
    ),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", GPT),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        TEXT | {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", TEXT),
    "gptj": ("GPTJForQuestionAnswering", GPT | {"rotary_dim": 4}),
    "codegen": ("CodeGenForCausalLM", GPT | {"rotary_dim": 4}),
    "opt": ("OPTForCausalLM", TEXT | {"ffn_dim": 48, "word_embed_proj_dim": 16}),
    "bloom": ("BloomForCausalLM", {"vocab_size": 96, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon": ("FalconForCausalLM", TEXT),
    "mpt": ("MptForCausalLM", {"vocab_size": 96, "d_model": 32, "n_layers": 2, "n_heads": 4}),
    "stablelm": ("StableLmForCausalLM", GROUPED),
    "starcoder2": ("Starcoder2ForCausalLM", GROUPED),
    "olmo": ("OlmoForCausalLM", GROUPED),
    "granite": ("GraniteForCausalLM", GROUPED),
    "cohere": ("CohereForCausalLM", GROUPED | {"use_qk_norm": True}),
    # mixtures of experts
    "mixtral": ("MixtralForCausalLM", GROUPED | {"num_local_experts": 4}),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        GROUPED | EXPERTS | {"shared_expert_intermediate_size": 24},
    ),
    "qwen3_moe": ("Qwen3MoeForCausalLM", GROUPED | EXPERTS),
    "gpt_oss": ("GptOssForCausalLM", GROUPED | {"num_local_experts": 4}),
    "olmoe": ("OlmoeForCausalLM", GROUPED | {"num_experts": 4, "num_experts_per_tok": 2}),
    "granitemoe": ("GraniteMoeForCausalLM", GROUPED | {"num_local_experts": 4}),
    "deepseek_v3": (
        "DeepseekV3ForCausalLM",
        TEXT
        | {
            "num_key_value_heads": 4,
            "moe_intermediate_size": 24,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "num_experts_per_tok": 2,
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
        },
    ),
    # state spaces
    "mamba": ("MambaForCausalLM", TEXT | {"state_size": 4}),
    "mamba2": (
        "Mamba2ForCausalLM",
        TEXT | {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "expand": 2},
    ),
    # encoders
    "bert": ("BertForPreTraining", TEXT),
    "roberta": ("RobertaForSequenceClassification", TEXT | {"type_vocab_size": 1}),
    "distilbert": (
        "DistilBertForMaskedLM",
        {"vocab_size": 96, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4},
    ),
    "albert": ("AlbertForMaskedLM", TEXT | {"embedding_size": 16}),
    "electra": ("ElectraForPreTraining", TEXT | {"embedding_size": 16}),
    "deberta-v2": (
        "DebertaV2ForMaskedLM",
        TEXT
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "conv_kernel_size": 3,
            "share_att_key": False,
        },
    ),
    "mpnet": ("MPNetModel", TEXT),
    "modernbert": ("ModernBertForMaskedLM", TEXT | {"cls_token_id": 1, "sep_token_id": 2}),
    "xlm-roberta": ("XLMRobertaForTokenClassification", TEXT | {"type_vocab_size": 1}),
    # encoder-decoders
    "t5": (
        "T5ForConditionalGeneration",
        {
            "vocab_size": 96,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_decoder_layers": 3,
            "num_heads": 4,
        },
    ),
    "bart": ("BartForSequenceClassification", SEQUENCE),
    "pegasus": ("PegasusForConditionalGeneration", SEQUENCE),
    "marian": ("MarianMTModel", SEQUENCE),
}
