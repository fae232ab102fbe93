"""Published layouts on a small scale and the configurations of the project, shared by these tests."""

import json
import re
from pathlib import Path

import yaml

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "stream").glob("*.yaml"))
CLASSES = ("non-rumor", "true", "false", "unverified")


def resolved(path, data="/data", seed=0):
    """The configuration in a file, with the two interpolations that the program resolves."""
    text = re.sub(r"\$\{data:([^}]*)\}", lambda found: f"{data}/{found[1]}", path.read_text())
    return yaml.safe_load(text.replace("${seed}", str(seed)))


def write_thread(root, event, folder, identity, text, tweet_folder="source-tweets"):
    path = root / event / folder / identity / tweet_folder / f"{identity}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"id_str": identity, "text": text, "user": {"name": "x"}}))
    shadow = path.with_name(f"._{path.name}")
    shadow.write_bytes(b"\x00\x05\x16\x07")


def write_pheme(root, suffix="-all-rnr-threads", tweet_folder="source-tweets"):
    for event in ("alpha", "beta"):
        for number in range(10):
            for folder in ("rumours", "non-rumours"):
                text = f"{event} {folder} {number} http://t.co/{number}"
                write_thread(root, event + suffix, folder, f"{len(folder)}{number}", text, tweet_folder)
    (root / "._alpha-all-rnr-threads").mkdir()
    (root / ".DS_Store").write_bytes(b"\x00")
    (root / "README").write_text("about")
    return root


def write_twitter(write, folder, count=40):
    write(f"{folder}/label.txt", "\n".join(f"{CLASSES[n % 4]}:{n}" for n in range(count)) + "\n")
    return write(f"{folder}/source_tweets.txt", "".join(f'{n}\t{folder} "tweet {n} URL\n' for n in range(count + 1)))


def write_coaid(write):
    for date in ("05-01-2020", "07-01-2020"):
        for label in ("Fake", "Real"):
            news = "".join(f',{n},"{date} ""{label}"" news, {n}",long content\n' for n in range(12))
            path = write(f"CoAID/{date}/News{label}COVID-19.csv", ",news_url,title,content\n" + news)
            write(f"CoAID/{date}/News{label}COVID-19_tweets.csv", "news_id,tweet_id\n0,1\n")
    claims = "".join(f"{n},who.int,,claim {n}\n" for n in range(4))
    write("CoAID/05-01-2020/ClaimFakeCOVID-19.csv", ",fact_check_url,news_url,title\n" + claims)
    return str(path.parent.parent)


STANCE_HEADER = "ID\tTarget\tTweet\tStance"
TARGETS = ("Wind Power", "Night Trains")


def stance_lines(count=20, first=1, known=True):
    """Rows of SemEval-2016 Task 6, with its line ends, its marker and its upper-case labels."""
    stances = ("FAVOR", "AGAINST", "NONE")
    rows = [
        f"{n}\t{target}\tTweet {n} on {target.split()[0]} #SemST\t{stances[(n - first) % 3] if known else 'UNKNOWN'}"
        for target in TARGETS
        for n in range(first, first + count)
    ]
    return "\r\n".join([STANCE_HEADER, *rows]) + "\r\n"


def write_stance(write, folder="release"):
    """The files of the release on a small scale; returns their folder."""
    write(f"{folder}/semeval2016-task6-trialdata.txt", stance_lines(6))
    write(f"{folder}/trialdata-ids.txt", "ID\tTweet ID\n1\t99\n")
    write(f"{folder}/SemEval2016-Task6-subtaskA-testdata.txt", stance_lines(9, 100, known=False))
    write(f"{folder}/SemEval2016-Task6-subtaskA-testdata-gold.txt", stance_lines(9, 100))
    return write(f"{folder}/semeval2016-task6-trainingdata.txt", stance_lines(30, 10)).parent
