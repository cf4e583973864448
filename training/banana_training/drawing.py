"""Checkpoints that draw: averaged weights, and pictures of full texts in PyTorch."""

from pathlib import Path

import torch
import torch.nn.functional as F

from .captions import encode
from .decoder import Decoder, DecoderConfiguration
from .denoiser import Denoiser, DenoiserConfiguration
from .linear_code import loaded_code
from .matting import ALPHA_RANGE, matted
from .quantization import bits_of, quantize
from .sampling import SHIFT, consistency_sample, noise_for, sample
from .text_encoder import minilm_folder, shipped_minilm
from .wordpiece import WordPiece


def averaged_denoiser(state, file="denoiser.pt"):
    """The denoiser of a checkpoint with averaged parameters, and the checkpoint.

    quantized.pt comes with its quantized linears.
    """
    stored = torch.load(Path(state) / file, map_location="cpu", weights_only=True)
    model = Denoiser(DenoiserConfiguration(**stored["configuration"]))
    quantize(model, bits_of(stored["model"]))
    model.load_state_dict(stored["model"])
    with torch.no_grad():
        parameters = dict(model.named_parameters())
        for name, average in zip(stored["names"], stored["ema"]["average"]):
            parameters[name].copy_(average)
    return model.eval().requires_grad_(False), stored


def trained_decoder(state):
    """The decoder of STATE/decoder.pt."""
    stored = torch.load(Path(state) / "decoder.pt", weights_only=True)
    decoder = Decoder(DecoderConfiguration(**stored["configuration"]))
    decoder.load_state_dict(stored["model"])
    return decoder.eval().requires_grad_(False)


def text_batch(encoder, tokenizer, texts):
    """hidden, pooled, mask of texts, and hidden and pooled of the empty prompt."""
    hidden, pooled, lengths = encode(encoder, [tokenizer(t) for t in texts])
    mask = torch.arange(hidden.shape[1]) < torch.tensor(lengths)[:, None]
    empty_hidden, empty_pooled, _ = encode(encoder, [tokenizer("")])
    return (hidden, pooled, mask), (empty_hidden[0], empty_pooled)


def decoding(state):
    """Unscaled latents to [n, 4, 256, 256]: by the decoder if there is one, or the linear code."""
    if not (Path(state) / "decoder.pt").exists():
        return loaded_code(state).pictures
    decoder = trained_decoder(state)
    return lambda z: F.avg_pool2d(decoder(z), 2)


class Drawing:
    """Draws full texts with any denoiser; text encoder and decoder are shared."""

    def __init__(self, state):
        self.encoder = shipped_minilm(state)
        self.tokenizer = WordPiece(minilm_folder() / "vocab.txt")
        self.decoded = decoding(state)

    @torch.no_grad()
    def pictures(self, denoiser, stored, texts, seeds, steps, guidance=1, batch=16):
        """Premultiplied RGBA [n, 4, 256, 256] as the engine shows it; guidance 1 is a student's."""
        k, found = denoiser.configuration, []
        for i in range(0, len(texts), batch):
            some = list(seeds[i:i + batch])
            text, empty = text_batch(self.encoder, self.tokenizer, texts[i:i + batch])
            noise = torch.cat([noise_for(s, k.latent_height * k.latent_width, k.latent_channels)
                               for s in some])
            if guidance == 1:
                x = consistency_sample(denoiser, noise, text, steps, SHIFT, some)
            else:
                x = sample(denoiser, noise, text, empty, steps, guidance)
            pixels = self.decoded(x * stored["divisor"] + stored["mean"]).float()
            found += [matted(p[None], ALPHA_RANGE) for p in pixels]
        return torch.cat(found)
