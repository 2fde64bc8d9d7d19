"""The encoders against diffusers' own prompt encoding, with the same tiny weights."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import HunyuanVideo15ImageToVideoPipeline as Pipeline
from PIL import Image

from support import published
from worldplay.world.pictures.fit import siglip_crop
from worldplay.world.released.encoders import GlyphEncoder, PromptEncoder, VisionEncoder, quoted_words
from worldplay.world.released.files import EncoderFiles, ReleasedFiles, locate
from worldplay.world.released.variants import find_variant

CPU = torch.device("cpu")
assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)


@pytest.fixture(params=["original", "diffusers"])
def files(request: pytest.FixtureRequest, layouts: dict[str, Path]) -> ReleasedFiles:
    return locate(layouts[request.param], find_variant("ar"))


@pytest.mark.parametrize("prompt", ["", "A café by the sea", "words " * 300])
def test_prompt_states_are_those_of_diffusers(files: ReleasedFiles, prompt: str) -> None:
    encoder = PromptEncoder(files.text, CPU, torch.float32)
    crop = len(published.make_language_tokenizer()(chat_before_prompt()).input_ids)
    expected, mask = Pipeline._get_mllm_prompt_embeds(
        published.make_language_model().model.language_model,
        published.make_language_tokenizer(),
        prompt,
        CPU,
        crop_start=crop,
    )
    states = encoder.encode(prompt, CPU)
    assert states.shape[1] == int(mask.sum()) <= 1000
    assert_close(states, expected[:, : states.shape[1]])


def chat_before_prompt() -> str:
    tokenizer = published.make_language_tokenizer()
    chat = [{"role": "system", "content": system_message()}, {"role": "user", "content": "PROMPT"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert isinstance(text, str)
    return text.partition("PROMPT")[0]


def system_message() -> str:
    message: str = Pipeline._get_mllm_prompt_embeds.__defaults__[2]
    assert message.startswith("You are a helpful assistant.")
    return message


def test_states_are_those_two_layers_before_the_last(files: ReleasedFiles) -> None:
    encoder = PromptEncoder(files.text, CPU, torch.float32)
    seen: list[torch.Tensor] = []
    encoder.model.layers[-3].register_forward_hook(lambda module, given, output: seen.append(output))
    states = encoder.encode("Sand", CPU)
    assert_close(states, seen[0][:, -states.shape[1] :])


@pytest.mark.parametrize(
    "prompt", ['A sign says "Open"', "“Zoë” meets “Bob” and “Zoë”", '"' + "long " * 90 + '"']
)
def test_glyph_states_are_those_of_diffusers(files: ReleasedFiles, prompt: str) -> None:
    tokenizer = published.make_glyph_tokenizer()
    expected, mask = Pipeline._get_byt5_prompt_embeds(tokenizer, published.make_glyph_encoder(), prompt, CPU)
    states = GlyphEncoder(files.glyph, CPU).encode(prompt, CPU)
    assert states is not None
    assert states.shape[1] == int(mask.sum()) <= 256
    assert_close(states, expected[:, : states.shape[1]])


def test_prompt_without_quotes_has_no_glyph_states(files: ReleasedFiles) -> None:
    assert GlyphEncoder(files.glyph, CPU).encode("It's 5' long", CPU) is None


def test_colours_and_fonts_are_tokens_of_their_own(files: ReleasedFiles) -> None:
    encoder = GlyphEncoder(files.glyph, CPU)
    ids = encoder._tokenizer("<color-1><cn-font-1>").input_ids
    assert ids == [385, 387, 1]


@pytest.mark.parametrize("size", [(90, 50), (50, 90), (64, 64)])
def test_image_states_are_those_of_diffusers_on_the_bucket_crop(
    files: ReleasedFiles, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    expected = Pipeline._get_image_embeds(
        published.make_vision_encoder(), published.make_image_processor(), siglip_crop(image), CPU
    )
    states = VisionEncoder(files.vision, CPU, torch.float32).encode(image, CPU)
    assert_close(states, expected)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ('a "b" c “d” "b"', ["b", "d"]),
        ('"one" and "two', ["one"]),
        ("no quotes", []),
        ("'single'", []),
        ('""', [""]),
    ],
)
def test_quoted_words(prompt: str, words: list[str]) -> None:
    assert quoted_words(prompt) == words


@pytest.fixture
def original(layouts: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the original layout, to be damaged."""
    shutil.copytree(layouts["original"], tmp_path / "copy")
    return tmp_path / "copy"


def test_pickled_glyph_weights_are_refused(original: Path) -> None:
    folder = original / "HunyuanVideo-1.5/text_encoder/Glyph-SDXL-v2/checkpoints"
    (folder / "byt5_model.safetensors").rename(folder / "byt5_model.pt")
    with pytest.raises(OSError, match=r"byt5_model.pt is a pickle, .* only safetensors are read$"):
        GlyphEncoder(locate(original, find_variant("ar")).glyph, CPU)


def test_fonts_of_another_glyph_model(original: Path) -> None:
    fonts = original / "HunyuanVideo-1.5/text_encoder/Glyph-SDXL-v2/assets/multilingual_10-lang_idx.json"
    fonts.write_text(json.dumps({f"en-{number}": number for number in range(9)}))
    with pytest.raises(ValueError, match=r"knows 388 tokens, but .*assets names 395$"):
        GlyphEncoder(locate(original, find_variant("ar")).glyph, CPU)


def test_configuration_of_another_model(original: Path) -> None:
    vision = locate(original, find_variant("ar")).vision
    text = original / "HunyuanVideo-1.5/text_encoder/byt5-small/config.json"
    shutil.copy(text, vision.model / "config.json")
    with pytest.raises(ValueError, match=r"config.json describes a T5Config, not a SiglipVisionConfig$"):
        VisionEncoder(vision, CPU, torch.float32)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "no-such-model"}'])
def test_damaged_configuration(original: Path, content: str) -> None:
    vision = locate(original, find_variant("ar")).vision
    (vision.model / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json .*"):
        VisionEncoder(vision, CPU, torch.float32)


def test_configuration_with_a_field_of_another_type(original: Path) -> None:
    vision = locate(original, find_variant("ar")).vision
    path = vision.model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": "two"}))
    expected = r"does not describe an encoder \(.*num_hidden_layers.*\)$"
    with pytest.raises(ValueError, match=expected):
        VisionEncoder(vision, CPU, torch.float32)


@pytest.mark.parametrize("content", ["{", "{}", '{"model": 3}', '{"version": "1.0", "model": {"type": "X"}}'])
def test_damaged_tokenizer(original: Path, content: str) -> None:
    text = locate(original, find_variant("ar")).text
    (text.inputs / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"llm/tokenizer.json .*\(.*\)$"):
        PromptEncoder(text, CPU, torch.float32)


def test_tokenizer_that_cannot_be_used(original: Path) -> None:
    """It can be built, and fails when it is used."""
    text = locate(original, find_variant("ar")).text
    path = text.inputs / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": {}}))
    with pytest.raises(ValueError, match=rf"^{text.inputs} makes no tokens \(TypeError: .*\)$"):
        PromptEncoder(text, CPU, torch.float32)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("hidden act", "hidden_act", "no-such"),
        ("no heads", "num_attention_heads", 0),
        ("heads that do not divide", "num_attention_heads", 3),
        ("negative width", "hidden_size", -1),
    ],
)
def test_configuration_of_no_possible_network(original: Path, name: str, field: str, value: object) -> None:
    vision = locate(original, find_variant("ar")).vision
    path = vision.model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(ValueError, match=r"config.json does not describe an encoder \(.+\)$"):
        VisionEncoder(vision, CPU, torch.float32)


@pytest.mark.parametrize(
    "fields", [{"image_mean": "x"}, {"size": {"height": 14, "width": 28}}, {"resample": 99}]
)
def test_processor_of_other_pictures(original: Path, fields: dict[str, object]) -> None:
    vision = locate(original, find_variant("ar")).vision
    path = vision.inputs / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(ValueError, match=r"preprocessor_config.json makes no pictures .+$"):
        VisionEncoder(vision, CPU, torch.float32)


@pytest.mark.parametrize("content", ["null", "[]", "3"])
def test_json_that_is_no_object(original: Path, content: str) -> None:
    text, glyph = (getattr(locate(original, find_variant("ar")), name) for name in ("text", "glyph"))
    (text.inputs / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer.json holds a .*, not an object$"):
        PromptEncoder(text, CPU, torch.float32)
    (glyph.assets / "multilingual_10-lang_idx.json").write_text(content)
    with pytest.raises(ValueError, match=r"10-lang_idx.json holds a .*, not an object$"):
        GlyphEncoder(glyph, CPU)


@pytest.fixture
def loose_tokenizer(original: Path) -> EncoderFiles:
    """As Qwen publishes it beside `tokenizer.json`, which is not there."""
    text = locate(original, find_variant("ar")).text
    whole = json.loads((text.inputs / "tokenizer.json").read_text())
    (text.inputs / "tokenizer.json").unlink()
    (text.inputs / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    (text.inputs / "merges.txt").write_text("#version: 0.2\n")
    return text


def test_tokenizer_in_its_own_pieces(original: Path, loose_tokenizer: EncoderFiles) -> None:
    PromptEncoder(loose_tokenizer, CPU, torch.float32)


@pytest.mark.parametrize("name", ["merges.txt", "tokenizer_config.json"])
def test_missing_piece_of_a_tokenizer(loose_tokenizer: EncoderFiles, name: str) -> None:
    (loose_tokenizer.inputs / name).unlink()
    with pytest.raises(OSError, match=rf"llm/{name} is missing$"):
        PromptEncoder(loose_tokenizer, CPU, torch.float32)


def test_merges_that_cannot_be(loose_tokenizer: EncoderFiles) -> None:
    (loose_tokenizer.inputs / "merges.txt").write_text("#version: 0.2\na")
    with pytest.raises(ValueError, match=r"vocab.json makes no Qwen2Tokenizer \(.+\)$"):
        PromptEncoder(loose_tokenizer, CPU, torch.float32)


def test_tokenizer_without_the_marks_of_a_chat(original: Path) -> None:
    text = locate(original, find_variant("ar")).text
    whole = json.loads((text.inputs / "tokenizer.json").read_text())
    whole["added_tokens"] = []
    (text.inputs / "tokenizer.json").write_text(json.dumps(whole))
    for other in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        (text.inputs / other).unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"llm makes 12 tokens of <\|im_start\|> instead of one$"):
        PromptEncoder(text, CPU, torch.float32)


def test_missing_tokenizer(original: Path) -> None:
    text = locate(original, find_variant("ar")).text
    (text.inputs / "tokenizer.json").unlink()
    with pytest.raises(OSError, match=r"text_encoder/llm/tokenizer.json is missing$"):
        PromptEncoder(text, CPU, torch.float32)
