"""The Hugging Face hub: fetch a repository, look into one by range reads, publish a folder."""
