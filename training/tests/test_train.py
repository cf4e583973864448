import argparse
import importlib
from types import SimpleNamespace

import pytest

from banana_training import train


class Parsed(Exception):
    pass


@pytest.mark.parametrize("cuda", [False, True])
def test_every_stage_takes_its_arguments(monkeypatch, cuda):
    monkeypatch.setattr(train.torch.cuda, "is_available", lambda: cuda)
    k = SimpleNamespace(data="stickers.tar.xz", state="state", out="package", peels="peels",
                        hours=1.0, composed=100, tiny=False)
    parse, seen = argparse.ArgumentParser.parse_args, []

    def parse_only(parser, arguments=None):
        seen.append(parse(parser, list(expected)))
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    for name, expected in train.stages(k):
        with pytest.raises(Parsed):
            importlib.import_module(f"banana_training.{name.split()[0]}").main()
    assert len(seen) == len(train.stages(k)) > 9


def test_shares_are_the_whole_budget():
    assert sum(train.SHARES.values()) == pytest.approx(1)
