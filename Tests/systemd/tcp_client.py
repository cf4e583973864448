"""Draws through the public `openai` client as its users write it, by a base URL alone.

    python tcp_client.py http://127.0.0.1:22626/v1
"""

import base64
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
request = {"prompt": "a red apple", "size": "256x256", "extra_body": {"steps": 2, "seed": 7}}
model = client.models.list().data[0].id
picture = base64.b64decode(client.images.generate(model=model, **request).data[0].b64_json)
assert picture.startswith(b"\x89PNG\r\n\x1a\n")
kinds = []
for event in client.images.generate(stream=True, partial_images=1, **request):
    kinds.append(event.type)
    if event.type == "image_generation.completed":
        assert base64.b64decode(event.b64_json) == picture
assert "image_generation.partial_image" in kinds and kinds[-1] == "image_generation.completed"
edit = client.images.edit(image=("a.png", picture, "image/png"), **request)
assert base64.b64decode(edit.data[0].b64_json) != picture
try:
    client.images.generate(prompt="a red apple", n=11)
except openai.BadRequestError as error:
    assert error.code == "invalid_request" and error.param == "n"
else:
    raise AssertionError("n is 11")
print("openai", openai.__version__)
