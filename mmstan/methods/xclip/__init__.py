"""X-CLIP: expanding language-image models to video recognition (ECCV 2022, arXiv 2208.02816).

Where the paper's Section 3 is in this folder:

* Cross-frame communication transformer: ``XCLIP``. Message ``m_t = Linear(z_t,0)`` and its
  exchange ``M + CFA(LN(M))`` (Eq. 7): ``MessageToken``. Intra-frame attention on
  ``[z_t, m_t]`` (Eq. 8) and the MLP (Eq. 9): ``XCLIP._run_block``.
* Multi-frame integration, ``v = AvgPool(MIT(H + e_temp))`` (Eq. 6): ``MultiFrameIntegration``.
* Visual context ``z``, the mean of the patches over the frames: ``VisualContext``.
* Video-specific prompting (Eq. 10): ``PromptingLayer``; ``c + alpha * prompt``:
  ``VideoPrompting._prompt``.
* Similarity of a video and its prompted class names: ``VideoPrompting._score_tile``; times the
  learned scale: ``PromptedTextHead``.

The released code differs from the paper, and we follow the code:

* Eq. 6 has an outer residual, ``mean over t of (MIT(H + e) + H)``.
* ``h_t`` goes through the tower's last norm and projection before Eq. 6.
* The block of Eq. 10 is pre-norm; its queries, keys and values have no bias.
* ``z`` is normalised and projected frame by frame, then averaged; the class token is left out.
* ``alpha`` is a vector, one factor a channel.
* The message token's own update in Eq. 8 is computed and not used.
"""

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
