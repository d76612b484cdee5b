"""The study of docs/study_tokens_and_tals.md, in parts: world, fits, material, networks, queue, judging, page."""
