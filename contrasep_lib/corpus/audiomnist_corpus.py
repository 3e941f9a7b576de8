"""AudioMNIST as a corpus; see `contrasep_lib.corpus.audiomnist`.

Every file is checked first, and all errors are listed.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from contrasep_lib.corpus import audiomnist
from contrasep_lib.corpus.base import Corpus, Request
from contrasep_lib.corpus.single import claim_folder
from contrasep_lib.errors import ContrasepError
from contrasep_lib.io.parallel import in_processes


class Audiomnist(Corpus):
    """Spoken digits, downloaded or a local copy, joined to strings."""

    takes = frozenset({"corpus"})

    def prepare(self, request: Request) -> dict[str, int]:
        """Write ``tr``, ``cv``, ``tt`` and the strings' audio."""
        options = self.options
        speakers = audiomnist.SPEAKERS[: options.speakers]
        data = audiomnist.find_data(request.corpus or audiomnist.fetch(request.download_dir, speakers))
        genders, errors = audiomnist.check_layout(data, options)
        paths = [(path,) for path in audiomnist.recordings(data, options)]
        errors += filter(None, in_processes(audiomnist.check_recording, paths, request.jobs, "checking AudioMNIST"))
        for error in errors:
            print(error, file=sys.stderr)
        if errors:
            raise ContrasepError(f"{data}: {len(errors)} errors found, listed above; nothing was made")
        claim_folder(Path(request.out), {
            "corpus": "audiomnist", "options": dataclasses.asdict(options),
            "genders": {speaker: genders[speaker] for speaker in speakers},
        })
        strings = audiomnist.plan_strings(data, request.out, options)
        work = [(string, options.rate) for string in strings]
        lengths = in_processes(audiomnist.make_string, work, request.jobs, "joining digits")
        return audiomnist.write_sets(request.out, strings, lengths, genders, options.rate)
