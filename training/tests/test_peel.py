import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from banana_training import peel as training
from banana_training.base import Base
from banana_training.evaluate_peel import attached_drawing, drawing, evaluate_peel, sheet
from banana_training.export_goldens import write_tiny_package
from banana_training.lora import PREFIX, Peel, attach_peel, sites, write_peel
from banana_training.peel_data import pixelated
from banana_training.peel_folder import FolderError, captioned_pictures, pixels_of


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    write_tiny_package(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    names = ["apple", "dog face", "a cat", "rocket", "moon", "tree"]
    lines = []
    for i, name in enumerate(names):
        pixels = np.zeros((20, 20, 4), np.uint8)
        pixels[4:16, 2 + i:12 + i] = (40 * i, 255 - 40 * i, 120, 255)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        lines.append(json.dumps({"file": f"{i}.png", "caption": name, "held_out": i == 5}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path


def arguments(package, folder, out, *more):
    return ["--base", str(package), "--pictures", str(folder), "--out", str(out), "--batch", "4",
            "--rank", "4", "--minutes", "10", *more]


def denoised(base):
    k = base.denoiser.configuration
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, k.latent_height * k.latent_width, k.latent_channels, generator=generator)
    with torch.no_grad():
        return base.denoiser(x, torch.tensor([1.0, 0.7]), *base.encode_texts(["a cat", "moon"]))


def test_a_peel_of_zero_up_factors_changes_nothing_and_leaves_no_trace(package):
    base = Base(package)
    before = denoised(base)
    names = list(base.denoiser.state_dict())
    peel = Peel(base.denoiser, sites(base.denoiser), 4, 4)
    assert torch.equal(denoised(base), before)
    peel.updates["layers.0.qkv"].up.data.fill_(0.1)
    assert not torch.allclose(denoised(base), before, atol=1e-4)
    assert list(base.denoiser.state_dict()) == names
    peel.set_strength(0)
    assert torch.equal(denoised(base), before)
    peel.set_strength(1)
    peel.detach()
    assert torch.equal(denoised(base), before)


def test_an_update_is_that_of_the_merged_weight(package):
    base, merged = Base(package), Base(package)
    peel = Peel(base.denoiser, sites(base.denoiser), 4, 8)
    peel.set_strength(0.5)
    linears = dict(merged.denoiser.named_modules())
    for name, update in peel.updates.items():
        update.up.data.normal_(generator=torch.Generator().manual_seed(1), std=0.05)
        linears[name].weight.data += 0.5 * 8 / 4 * (update.up @ update.down).detach()
    assert torch.allclose(denoised(base), denoised(merged), atol=1e-4)


def test_a_file_holds_peft_names_half_precision_and_modelspec(package, folder, tmp_path):
    out = tmp_path / "peels" / "blocks.safetensors"
    (folder / "peel.json").write_text('{"trigger": "block art", "author": "you", "title": "T"}')
    training.main(arguments(package, folder, out, "--steps", "3", "--author", "me",
                            "--license", "MIT", "--title", "Blocks"))
    base = Base(package)
    k = base.denoiser.configuration
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
        assert len(file.keys()) == 2 * 5 * k.layers
        down = file.get_tensor(PREFIX + "layers.0.qkv.lora_A.weight")
        up = file.get_tensor(PREFIX + "layers.0.qkv.lora_B.weight")
    assert PREFIX == "base_model.model.denoiser."
    assert down.shape == (4, k.width) and up.shape == (k.width + 2 * k.key_value_width, 4)
    assert down.dtype == up.dtype == torch.float16 and up.any()
    assert metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.architecture"] == "sticker/lora"
    assert metadata["modelspec.title"] == "Blocks"
    assert metadata["modelspec.trigger_phrase"] == "block art"
    assert metadata["modelspec.license"] == "MIT" and metadata["modelspec.author"] == "me"
    assert len(metadata["modelspec.date"]) == 10
    assert metadata["lora_rank"] == metadata["lora_alpha"] == "4"
    manifest = json.loads((package / "model.json").read_text())
    assert metadata["banana.base_sha256"] == manifest["files"]["denoiser.safetensors"]["sha256"]
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_a_peel_reads_back_as_it_was_written(package, tmp_path):
    base = Base(package)
    peel = Peel(base.denoiser, sites(base.denoiser, ["down"]), 2, 3)
    for p in peel.parameters():
        p.data = torch.randn(p.shape).half().float()
    wanted = denoised(base)
    write_peel(tmp_path / "p.safetensors", peel, {})
    peel.detach()
    again, metadata = attach_peel(base.denoiser, tmp_path / "p.safetensors")
    assert metadata == {"lora_rank": "2", "lora_alpha": "3"}
    assert torch.equal(denoised(base), wanted)
    again.detach()


def test_values_that_half_precision_cannot_hold_are_not_written(package, tmp_path):
    base = Base(package)
    peel = Peel(base.denoiser, ["layers.0.out"], 2, 2)
    peel.updates["layers.0.out"].up.data.fill_(1e6)
    with pytest.raises(ValueError, match="lora_B"):
        write_peel(tmp_path / "p.safetensors", peel, {})
    assert not list(tmp_path.iterdir())


def run_of(package, folder, out):
    base = Base(package)
    k = training.parsed(arguments(package, folder, out))
    return training.Run(k, base, training.Examples(base, folder, None, "block art"))


def test_a_resumed_run_takes_the_same_steps(package, folder, tmp_path):
    whole = run_of(package, folder, tmp_path / "whole.safetensors")
    expected = [whole.advance(1.0) for _ in range(6)]
    part = run_of(package, folder, tmp_path / "part.safetensors")
    found = [part.advance(1.0) for _ in range(3)]
    part.save()
    resumed = run_of(package, folder, tmp_path / "part.safetensors")
    assert resumed.step == 3
    # Texts are encoded in other batches than before, hence the last digits.
    assert found + [resumed.advance(1.0) for _ in range(3)] == pytest.approx(expected, rel=1e-5)
    for a, b in zip(whole.peel.parameters(), resumed.peel.parameters()):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_stopped_run_goes_on_only_as_it_was_begun(package, folder, tmp_path):
    out = tmp_path / "x.safetensors"
    run_of(package, folder, out).save()
    with pytest.raises(SystemExit, match="remove it"):
        training.main(arguments(package, folder, out, "--rank", "8"))
    assert not out.exists()


def test_training_lowers_the_error_and_leaves_the_base(package, folder, tmp_path):
    run = run_of(package, folder, tmp_path / "x.safetensors")
    before = {n: t.clone() for n, t in run.base.denoiser.state_dict().items()}
    errors = [run.advance(1.0) for _ in range(60)]
    assert sum(errors[-10:]) < 0.8 * sum(errors[:10])
    for name, tensor in run.base.denoiser.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert np.isfinite(run.advance(1.0, tokens=3))


def test_every_epoch_sees_each_trained_picture_once(package, folder):
    examples = training.Examples(Base(package), folder, None, "")
    rows = [row for step in range(5) for row in examples.draw(step, 2, 0)[0]]
    assert sorted(rows[:5]) == sorted(rows[5:]) == list(range(5))
    texts = [text for step in range(50) for text in examples.draw(step, 4, 0)[1]]
    assert not any("tree" in text for text in texts)


def test_evaluation_and_sheet(package, folder, tmp_path):
    base, path = Base(package), tmp_path / "p.safetensors"
    peel = Peel(base.denoiser, sites(base.denoiser), 2, 2)
    write_peel(path, peel, {})
    peel.detach()
    without, peeled = drawing(base), attached_drawing(base, path)
    some = captioned_pictures(folder)[:2]
    assert torch.equal(without(some, [5, 6]), peeled(some, [5, 6]))
    found = evaluate_peel(without, peeled, folder, 16, count=3, seeds=(1, 2))
    assert found["seen"] == found["without"] and found["seen"]["pictures"] == 6
    assert found["held out"]["pictures"] == 2 and 0 <= found["held out"]["retrieval@5"] <= 100
    sheet(without, peeled, folder, tmp_path / "docs" / "sheet.png", columns=2)
    assert Image.open(tmp_path / "docs" / "sheet.png").width == 224


def test_pictures_of_the_folder_are_retrieved_as_themselves(folder):
    def draw(pictures, seeds):
        read = np.stack([pixels_of(folder / p.file, 32) for p in pictures])
        return torch.from_numpy(read).permute(0, 3, 1, 2) / 255

    def blank(pictures, seeds):
        return torch.zeros(len(pictures), 4, 32, 32)

    found = evaluate_peel(blank, draw, folder, 32)
    assert found["seen"]["retrieval@1"] == 100 > found["without"]["retrieval@1"]
    assert found["seen"]["psnr"] == 90 > found["without"]["psnr"]


def broken(folder, change, match):
    change(folder)
    with pytest.raises(FolderError, match=match):
        for p in captioned_pictures(folder):
            pixels_of(folder / p.file, 16)


def test_folders_that_cannot_be_used_say_why(folder, tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    broken(empty, lambda f: None, "holds no pictures")
    broken(empty / "absent", lambda f: None, "not a folder")
    broken(folder, lambda f: (f / "odd.png").write_bytes(b"not a picture"), "no line for odd.png")
    (folder / "odd.png").unlink()
    good = (folder / "captions.jsonl").read_text()
    broken(folder, lambda f: (f / "captions.jsonl").write_text("{"), "line 1: write")
    broken(folder, lambda f: (f / "captions.jsonl").write_text("[1]"), "line 1: write")
    gone = '\n{"file": "gone.png", "caption": "x"}'
    broken(folder, lambda f: (f / "captions.jsonl").write_text(good + gone), "not there: gone.png")
    blank = '{"file": "0.png", "caption": " "}'
    broken(folder, lambda f: (f / "captions.jsonl").write_text(blank), "caption of 0.png is empty")
    broken(folder, lambda f: (f / "captions.jsonl").unlink(), "no caption for 0.png, .* 3 more")


def test_pictures_that_cannot_be_used_are_named(folder, monkeypatch):
    (folder / "0.png").write_bytes(b"not a picture")
    with pytest.raises(FolderError, match="0.png cannot be read"):
        pixels_of(folder / "0.png", 16)
    Image.new("RGBA", (4097, 1)).save(folder / "1.png")
    with pytest.raises(FolderError, match="1.png is 4097×1"):
        pixels_of(folder / "1.png", 16)
    monkeypatch.setattr("banana_training.peel_folder.LARGEST_BYTES", 10)
    with pytest.raises(FolderError, match="2.png is larger"):
        pixels_of(folder / "2.png", 16)


def test_a_picture_may_be_asked_for_in_one_style_only(package, folder):
    lines = [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()]
    lines = [json.dumps(line | {"style": "flat"}) for line in lines]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    examples = training.Examples(Base(package), folder, None, "")
    texts = [text for step in range(9) for text in examples.draw(step, 5, 0)[1] if text]
    assert texts and all(text.startswith("flat sticker of ") for text in texts)
    (folder / "captions.jsonl").write_text("\n".join(lines).replace('"flat"', '"oil"'))
    with pytest.raises(FolderError, match="asks for oil; the model has the styles 3d"):
        training.Examples(Base(package), folder, None, "")


def test_bad_folders_end_the_command_with_a_message(package, folder, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("empty")
    (folder / "peel.json").write_text('{"trigger": 3}')
    with pytest.raises(SystemExit, match="peel.json: write"):
        training.main(arguments(package, folder, folder / "x.safetensors"))
    with pytest.raises(SystemExit, match="holds no pictures"):
        training.main(arguments(package, tmp_path, tmp_path / "x.safetensors"))


def test_pictures_of_any_shape_are_fitted_into_a_clear_square(tmp_path):
    Image.new("RGBA", (40, 20), (200, 100, 0, 128)).save(tmp_path / "wide.png")
    pixels = pixels_of(tmp_path / "wide.png", 16)
    assert pixels.shape == (16, 16, 4) and not pixels[:4].any() and not pixels[12:].any()
    assert np.abs(pixels[8, 8].astype(int) - [100, 50, 0, 128]).max() <= 1
    (tmp_path / "a.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
                                    '<rect width="4" height="8" fill="#f00"/></svg>')
    pixels = pixels_of(tmp_path / "a.svg", 16)
    assert pixels[8, 2].tolist() == [255, 0, 0, 255] and not pixels[8, 12].any()


def test_captions_may_lie_beside_pictures_and_lose_their_article(tmp_path):
    Image.new("RGBA", (8, 8)).save(tmp_path / "x.webp")
    (tmp_path / "x.txt").write_text("An  angry\ncat\n")
    picture, = captioned_pictures(tmp_path)
    assert picture.name == "angry cat" and picture.file == "x.webp" and not picture.held_out


def test_pixel_art_is_large_hard_pixels_of_few_colours():
    generator = np.random.default_rng(0)
    pixels = np.full((256, 256, 4), 255, np.uint8)
    pixels[..., :3] = generator.integers(0, 255, (256, 256, 3))
    pixels[:, :100] = 0
    art = np.asarray(pixelated(pixels))
    assert (art[::8, ::8].repeat(8, 0).repeat(8, 1) == art).all()
    assert set(art[..., 3].ravel()) == {0, 255}
    assert len(np.unique(art[art[..., 3] > 0], axis=0)) <= 16
