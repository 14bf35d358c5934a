"""Loading a dialogue model, a stock LLaVA of transformers, and refusing other kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch

from mmstan.chat.optional import import_transformers, require
from mmstan.chat.video_tokens import feature_block
from mmstan.wording import check_choice, write_on_one_line

Quantize = Literal['4bit', '8bit']
# Without the `model.` transformers quantises tower and projector, in silence.
_NOT_QUANTIZED = ['model.vision_tower', 'model.multi_modal_projector', 'lm_head']


def load_engine(
    engine: str | PathLike[str],
    *,
    dtype: str | torch.dtype = 'auto',
    device_map: Any = 'auto',
    quantize: Quantize | None = None,
    local_files_only: bool = False,
) -> tuple[Any, Any]:
    """Load a ``LlavaForConditionalGeneration`` and its processor.

    Args:
        engine: Name on the hub, or a folder.
        dtype: ``'auto'`` is the checkpoint's on a GPU, float32 on a CPU.
        device_map: As transformers takes it; None loads to the CPU without accelerate.
        quantize: Bits of the language model's weights; tower, projector and output stay whole.
        local_files_only: Do not ask the network.

    Raises:
        ImportError: A package is missing.
        ValueError: The engine is another kind of model.
        OSError: The engine is not here, and cannot be fetched.
    """
    transformers = import_transformers()
    check_choice('quantize', quantize, Quantize, optional=True)
    if device_map is not None or quantize:
        require('accelerate', f'device_map={device_map!r}' if not quantize else 'quantising')
    options: dict[str, Any] = dict(device_map=device_map, local_files_only=local_files_only)
    if quantize:
        require('bitsandbytes', f"quantize='{quantize}'", 'bitsandbytes')
        options['quantization_config'] = transformers.BitsAndBytesConfig(
            load_in_4bit=quantize == '4bit',
            load_in_8bit=quantize == '8bit',
            bnb_4bit_quant_type='nf4',
            llm_int8_skip_modules=_NOT_QUANTIZED,
        )
    if dtype == 'auto' and loads_to_cpu(device_map):
        dtype = torch.float32
    name = str(engine)
    with _name_missing_engine(name):
        check_engine(name, local_files_only=local_files_only)
        cls = transformers.LlavaForConditionalGeneration
        model = cls.from_pretrained(name, dtype=dtype, **options)
        processor = transformers.AutoProcessor.from_pretrained(
            name, local_files_only=local_files_only
        )
    return model.eval(), processor


def loads_to_cpu(device_map: Any) -> bool:
    """Whether a ``device_map``, as transformers takes it, leaves all layers on the CPU."""
    if device_map is None or not torch.cuda.is_available():
        return True
    devices = device_map.values() if isinstance(device_map, Mapping) else [device_map]
    return {str(device) for device in devices} == {'cpu'}


def check_engine(engine: str, *, local_files_only: bool = False) -> Any:
    """Read an engine's config, before its weights; returns it.

    Raises:
        ValueError: It is no LLaVA with a CLIP tower of one feature layer.
    """
    transformers = import_transformers()
    with _name_missing_engine(engine):
        if Path(engine).is_dir() and not Path(engine, 'config.json').is_file():
            raise FileNotFoundError('the folder has no config.json')
        raw, _ = transformers.PreTrainedConfig.get_config_dict(
            engine, local_files_only=local_files_only
        )
    kind = raw.get('model_type')
    wanted = (
        "a LLaVA with a CLIP tower is taken (model_type 'llava', of the tower 'clip_vision_model'),"
        ' such as llava-hf/llava-1.5-7b-hf'
    )
    if kind != 'llava':
        raise ValueError(f"engine='{engine}' has model_type '{kind}': {wanted}")
    if 'vision_config' not in raw:
        raise ValueError(
            f"engine='{engine}' is in LLaVA's own format: "
            f'python tools/convert_checkpoint.py llava_v1 {engine} OUT_FOLDER converts it'
        )
    config = transformers.LlavaConfig.from_dict(raw)
    vision = config.vision_config.model_type
    if vision != 'clip_vision_model':
        raise ValueError(f"engine='{engine}' has a tower of model_type '{vision}': {wanted}")
    feature_block(config.vision_feature_layer, config.vision_config.num_hidden_layers)
    return config


@contextmanager
def _name_missing_engine(engine: str) -> Iterator[None]:
    """Within, transformers' error about files that are not here becomes one line."""
    try:
        yield
    except OSError as error:
        reason = write_on_one_line(error)
        if Path(engine).is_dir():
            raise OSError(f"engine='{engine}' cannot be read: {reason}") from error
        raise OSError(
            f"engine='{engine}' is neither a folder nor in the cache, and cannot be fetched "
            f'({reason}): run hf download {engine} where there is a network, or give a folder'
        ) from error
