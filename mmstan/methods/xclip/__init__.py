"""X-CLIP: expanding language-image models to video recognition (ECCV 2022, arXiv 2208.02816)."""

from mmstan.methods.xclip import (
    checkpoints,  # noqa: F401  (registers its names)
    checkpoints_hf,  # noqa: F401  (registers its names)
)
from mmstan.methods.xclip.backbone import XCLIP
from mmstan.methods.xclip.message_token import MessageToken
from mmstan.methods.xclip.multi_frame_integration import MultiFrameIntegration
from mmstan.methods.xclip.prompted_text_head import PromptedTextHead
from mmstan.methods.xclip.video_prompting import VideoPrompting

__all__ = ['XCLIP', 'MessageToken', 'MultiFrameIntegration', 'PromptedTextHead', 'VideoPrompting']
