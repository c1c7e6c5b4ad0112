"""Makes the fixtures beside it with the Python libraries that consumers' files come from.

    pip install numpy pandas pyarrow pillow tokenizers
    python make_fixtures.py
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).parent / "fixtures"
OUT.mkdir(exist_ok=True)

texts = ["The shoal turns as one.", "Zwölf Boxkämpfer, \"quoted\"", None, "line one\nline two"]
frame = pd.DataFrame({"text": texts, "size": [1, 2, 3, 4], "weight": [0.5, 1.5, np.nan, -2.25]})
frame["vector"] = [[0.5, 1.0], [1.5, 2.0], [2.5, 3.0], [3.5, 4.0]]
frame.to_json(OUT / "table.jsonl", orient="records", lines=True, force_ascii=False)
frame.drop(columns="vector").to_csv(OUT / "table.csv", index=False)
(OUT / "table.csv.gz").write_bytes(gzip.compress((OUT / "table.csv").read_bytes(), mtime=0))
for compression in ["snappy", "gzip", "zstd"]:
    frame.to_parquet(OUT / f"table-{compression}.parquet", row_group_size=3, compression=compression)

for name, dtype in [("f4", "<f4"), ("f8", "<f8"), ("f2", "<f2"), ("i8", "<i8"), ("u1", "|u1")]:
    np.save(OUT / f"{name}.npy", np.arange(12).reshape(2, 3, 2).astype(dtype))

y, x = np.mgrid[0:60, 0:80]
pixels = np.stack([x * 3, y * 4, (x * y) % 256], axis=-1).astype(np.uint8)
folder = OUT / "images" / "below"
folder.mkdir(parents=True, exist_ok=True)
Image.fromarray(pixels).save(OUT / "images" / "b.png")
Image.fromarray(pixels).save(folder / "a.jpg", quality=95)
Image.fromarray(pixels).save(OUT / "images" / "c.webp", lossless=True)
for name, filter in [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
    resized = Image.fromarray(pixels).resize((32, 24), filter)
    np.save(OUT / f"{name}.npy", np.asarray(resized).transpose(2, 0, 1)[:, 2:22, 6:26].copy()[None])

corpus = [text for text in texts if text] * 4 + ["shoals of fish swim in the sea; a tab lends its time"] * 4
tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
tokenizer.save(str(OUT / "tokenizer.json"))
tokenizer.enable_truncation(12)
cases = ["The shoal turns as one.", "", "fish", "unseen Ω words swim in the sea, and on, and on, and on", "ZWÖLF"]
encoded = [{"text": text, "ids": tokenizer.encode(text).ids} for text in cases]
pairs = [{"text": a, "second": b, "ids": tokenizer.encode(a, b).ids, "types": tokenizer.encode(a, b).type_ids}
         for a, b in zip(cases, reversed(cases))]
(OUT / "tokens.json").write_text(json.dumps({"single": encoded, "pairs": pairs}, ensure_ascii=False, indent=1))
