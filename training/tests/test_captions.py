from types import SimpleNamespace

import torch

from banana_training.captions import (VARIANTS, TextCache, as_spoken, prompt, variations,
                                      with_article)
from banana_training.text_encoder import TextEncoder, TextEncoderConfiguration
from banana_training.wordpiece import WordPiece

from banana_training.export_goldens import tiny_vocabulary


def pictures(*names):
    return [SimpleNamespace(name=n, keywords=(n, "red", "dog"), style="3d", file=n) for n in names]


def test_articles():
    assert [with_article(n) for n in ("apple", "cat", "unicorn", "hourglass", "UFO", "SUV")] == [
        "an apple", "a cat", "a unicorn", "an hourglass", "a UFO", "an SUV"]


def test_names_as_people_say_them():
    said = {"dog face": "dog face", "man: dark skin tone, beard": "bearded man with dark skin tone",
            "woman: light skin tone, red hair": "woman with light skin tone and red hair",
            "person: bald": "bald person", "keycap: 3": "keycap 3"}
    assert {name: as_spoken(name) for name in said} == said


def test_a_cache_grows_and_keeps_what_it_had(tmp_path):
    tokenizer = WordPiece(tiny_vocabulary())
    torch.manual_seed(0)
    encoder = TextEncoder(TextEncoderConfiguration(len(tokenizer.ids), 24, 1, 2, 48)).eval()
    calls, forward = [], encoder.forward
    encoder.forward = lambda ids, mask: calls.append(len(ids)) or forward(ids, mask)
    path = tmp_path / "captions.pt"
    first = TextCache(pictures("dog", "cat"), encoder, tokenizer, path=path)
    once = sum(calls)
    again = TextCache(pictures("dog", "cat"), encoder, tokenizer, path=path)
    assert sum(calls) == once
    grown = TextCache(pictures("moon", "cat"), encoder, tokenizer, path=path)
    assert once < sum(calls) < 2 * once
    for cache, where in ((first, 1), (again, 1), (grown, 1)):
        hidden, pooled, mask = cache.caption(torch.tensor([where]), "name")
        ids = torch.tensor([tokenizer(prompt("3d", "cat"))])
        exact, exact_pooled = forward(ids, torch.ones_like(ids, dtype=torch.bool))
        assert torch.allclose(hidden[mask].float(), exact[0], atol=2e-3)
        assert torch.allclose(pooled.float(), exact_pooled, atol=2e-3)
    assert len(variations(pictures("dog")[0])) == len(VARIANTS)
