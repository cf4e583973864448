"""A model package as the frozen base that peels are trained on and drawn with."""

import torch

from .captions import encode
from .matting import matted
from .package import load_package
from .sampling import consistency_sample, noise_for, sample


class Base:
    """The modules of a package with what its model.json says about using them."""

    def __init__(self, folder):
        self.manifest, modules, self.tokenizer = load_package(folder)
        self.configuration = self.manifest["configuration"]
        self.text_encoder, self.denoiser = modules["text_encoder"], modules["denoiser"]
        self.encoder, self.decoder = modules["encoder"], modules["decoder"]
        self.mean = torch.tensor(self.configuration["latents"]["mean"])
        self.divisor = torch.tensor(self.configuration["latents"]["standardDeviation"])
        self.native_size = max(self.configuration["sizes"])
        self.sha256 = self.manifest["files"]["denoiser.safetensors"]["sha256"]
        text = self.configuration["text"]
        self.template, self.styles = text["promptTemplate"], text["styles"]
        self.default_style = text["defaultStyle"]
        self._encoded = {}

    @property
    def is_guided(self):
        return self.configuration["sampling"].get("sampler") != "consistency"

    def text(self, style, prompt):
        """What the text encoder reads, as the engine puts it together."""
        return self.template.format(style=style, prompt=prompt)

    @torch.no_grad()
    def encode_texts(self, texts):
        """hidden [b, T, width], pooled [b, width], mask [b, T]; kept for the next time."""
        new = sorted({t for t in texts if t not in self._encoded})
        for i in range(0, len(new), 64):
            some = new[i:i + 64]
            hidden, pooled, lengths = encode(self.text_encoder, [self.tokenizer(t) for t in some])
            for t, h, p, length in zip(some, hidden, pooled, lengths):
                self._encoded[t] = h[:length].clone(), p.clone()
        found = [self._encoded[t] for t in texts]
        hidden = torch.nn.utils.rnn.pad_sequence([h for h, _ in found], batch_first=True)
        lengths = torch.tensor([len(h) for h, _ in found])
        mask = torch.arange(hidden.shape[1]) < lengths[:, None]
        return hidden, torch.stack([p for _, p in found]), mask

    @torch.no_grad()
    def draw(self, texts, seeds, steps=None, batch=16):
        """Premultiplied RGBA [n, 4, 256, 256] in 0...1 (half the native size) of full texts."""
        sampling, k = self.configuration["sampling"], self.denoiser.configuration
        steps = steps or sampling["steps"]
        empty_hidden, empty_pooled, _ = self.encode_texts([""])
        pictures = []
        for i in range(0, len(texts), batch):
            noise = torch.cat([noise_for(seed, k.latent_height * k.latent_width,
                                         k.latent_channels) for seed in seeds[i:i + batch]])
            text = self.encode_texts(texts[i:i + batch])
            shift = sampling["sigmaShift"]
            if self.is_guided:
                x = sample(self.denoiser, noise, text, (empty_hidden[0], empty_pooled[0]),
                           steps, sampling["guidance"], shift)
            else:
                x = consistency_sample(self.denoiser, noise, text, steps, shift,
                                       seeds[i:i + batch])
            picture = self.decoder(x * self.divisor + self.mean)
            picture = matted(picture, self.configuration.get("alphaRange", (0, 1)))
            pictures.append(torch.nn.functional.avg_pool2d(picture, 2))
        return torch.cat(pictures)
