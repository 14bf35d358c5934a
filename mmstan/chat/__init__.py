"""Ask a video: STAN's branch inside a LLaVA (Mug-STAN, Section IV-F)."""
