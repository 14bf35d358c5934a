"""A made-up LLaVA in its own format -> a folder -> the stock class: the same to the bit."""

import json
from pathlib import Path

import pytest
import torch
from helpers.scripts import convert
from helpers.tiny_chat import VISION, make_branch, make_frames, save_branch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from mmstan.chat import VideoChat
from mmstan.chat.prompts import list_messages, tokenize
from mmstan.converters.llava_v1 import END, PATCH, START, convert_folder, convert_state

SPECIAL = ['<unk>', '<s>', '</s>', PATCH, START, END]
WORDS = ['USER:', 'ASSISTANT:', 'what', 'happens', '?', 'left']
LLAMA = LlamaConfig(
    hidden_size=48,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    vocab_size=len(SPECIAL) + len(WORDS),
    max_position_embeddings=128,
)


def make_llava(folder: Path, *, words: list[str] = SPECIAL) -> tuple[nn.Module, nn.Linear]:
    """Write a folder in LLaVA's own format; returns its language model and its one layer."""
    llama = AutoModelForCausalLM.from_config(LLAMA, attn_implementation='sdpa').eval()
    layer = nn.Linear(64, 48)
    state: dict[str, Tensor] = dict(llama.state_dict())
    state |= {f'model.mm_projector.{name}': x for name, x in layer.state_dict().items()}
    state['model.layers.0.self_attn.rotary_emb.inv_freq'] = torch.ones(6)  # of old files
    names = list(state)
    folder.mkdir()
    for part, some in enumerate((names[:9], names[9:])):  # in two files, as the large ones
        path = folder / f'pytorch_model-0000{part + 1}-of-00002.bin'
        torch.save({name: state[name] for name in some}, path)
    settings = {**LLAMA.to_dict(), 'model_type': 'llava', 'mm_hidden_size': 64}
    settings |= dict(mm_vision_tower='openai/clip', mm_use_im_start_end=True, tune_mm_mlp_adapter=0)
    (folder / 'config.json').write_text(json.dumps(settings))
    table = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate([*words, *WORDS])}, unk_token='<unk>')
    )
    table.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=table,
        unk_token='<unk>',
        bos_token='<s>',
        eos_token='</s>',
        additional_special_tokens=words[3:],
    ).save_pretrained(folder)
    return llama, layer


@pytest.fixture(scope='module')
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('clip')
    CLIPVisionModel(CLIPVisionConfig(**VISION)).save_pretrained(folder)
    CLIPImageProcessor(size=dict(height=32, width=32), do_center_crop=False).save_pretrained(folder)
    return folder


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_two_layers_of_which_one_is_the_identity_are_one(dtype: torch.dtype) -> None:
    layer, x = nn.Linear(64, 48).to(dtype), torch.randn(3, 64, dtype=dtype)
    state = {'model.embed_tokens.weight': torch.zeros(2), 'model.norm.weight': torch.zeros(2)}
    state |= {'lm_head.weight': torch.zeros(2)}
    state |= {f'model.mm_projector.{name}': value for name, value in layer.state_dict().items()}
    ours = convert_state(state)
    second = [ours[f'model.multi_modal_projector.linear_2.{kind}'] for kind in ('weight', 'bias')]
    first = layer(x)
    assert torch.equal(nn.functional.linear(first, *second), first)


def test_the_same_logits_to_the_bit_through_the_command(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llama, layer = make_llava(tmp_path / 'v1')
    out, config = tmp_path / 'out', tmp_path / 'v1/config.json'
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | dict(mm_vision_select_feature='cls_patch')))
    with pytest.raises(SystemExit, match="mm_vision_select_feature='cls_patch' is not taken"):
        convert(monkeypatch, 'llava_v1', tmp_path / 'v1', out)
    config.write_text(json.dumps(settings | dict(mm_vision_tower=str(tmp_path / 'nowhere'))))
    with pytest.raises(SystemExit, match=r"^error: vision='.*nowhere': .*; give --vision"):
        convert(monkeypatch, 'llava_v1', tmp_path / 'v1', out)
    config.write_text(json.dumps(settings | dict(mm_vision_tower=str(clip))))  # its own, then
    convert(monkeypatch, 'llava_v1', tmp_path / 'v1', out)
    _, info = LlavaForConditionalGeneration.from_pretrained(out, output_loading_info=True)
    assert not info['missing_keys'] and not info['unexpected_keys']
    file = save_branch(tmp_path / 'branch.pth', make_branch(class_token='own', gates=True))
    chat = VideoChat.from_pretrained(out, file, num_frames=4, class_token='last')
    tokens = chat.encode(make_frames(4))
    assert tokens.shape == (1, 17, 64)
    ids = tokenize(chat.engine.processor, [list_messages(['what happens ?'], [])], 17)
    text = chat.engine.processor.tokenizer.decode(ids[0])
    assert text.count(PATCH) == 17 and text.count(START) == text.count(END) == 1
    assert text.replace(' ', '').endswith('whathappens?ASSISTANT:')
    with torch.no_grad():
        embeddings = llama.get_input_embeddings()(ids)
        embeddings[ids == SPECIAL.index(PATCH)] = layer(tokens)[0]
        by_hand = llama(inputs_embeds=embeddings).logits
        ours = chat.engine.model(inputs_embeds=chat.embed(ids, tokens)).logits
    assert torch.equal(ours, by_hand)
    assert isinstance(chat.ask(make_frames(4), 'what ?', temperature=0, max_new_tokens=3), str)


def test_a_tokenizer_without_llava_s_tokens(tmp_path: Path, clip: Path) -> None:
    make_llava(tmp_path / 'v1', words=[*SPECIAL[:3], '<other>', START, END])
    with pytest.raises(ValueError, match=r'the tokenizer has no <im_patch>, LLaVA v1'):
        convert_folder(tmp_path / 'v1', tmp_path / 'out', vision=str(clip))


def test_folders_of_another_kind(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r'^error: .*config\.json is not here'):
        convert(monkeypatch, 'llava_v1', tmp_path / 'none', tmp_path / 'out')
    make_llava(tmp_path / 'v1')
    files = sorted((tmp_path / 'v1').glob('*.bin'))
    files[1].unlink()
    with pytest.raises(ValueError, match=r'\d+ tensors missing: .*lm_head\.weight'):
        convert_folder(tmp_path / 'v1', tmp_path / 'out', vision=str(clip))
    files[0].unlink()
    with pytest.raises(FileNotFoundError, match=r'has no \*\.safetensors and no pytorch_model'):
        convert_folder(tmp_path / 'v1', tmp_path / 'out', vision=str(clip))
    (tmp_path / 'v1' / 'config.json').write_text('{"model_type": "llama"}')
    with pytest.raises(ValueError, match=r"is no config of LLaVA v1: .* model_type='llama'"):
        convert_folder(tmp_path / 'v1', tmp_path / 'out', vision=str(clip))
