"""Decoding of CTC's probabilities into words of a list.

Own code, for the decoders of flashlight-text and torchaudio want a unit that ends each word: where sentencepiece marks
beginnings instead, they take the second frame of a last unit for another word.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from contrasep_lib.asr.tokens import BLANK, Tokens

# score of each word, nats: without it units that are not sure become short words
WORD_SCORE = -1.0


class Lexicon:
    """The words that a recogniser may hear, as a prefix tree of their units.

    There is no language model: all words are as likely.

    Args:
        words: of the training transcripts.
        tokens: text units; a word that they cannot spell is left out.
    """

    def __init__(self, words: Iterable[str], tokens: Tokens) -> None:
        spelled = {word: tokens.encode(word) for word in words}
        self.words = sorted(word for word, units in spelled.items() if tokens.decode(units) == word)
        parents, units, ends = [0], [BLANK], [-1]
        children: dict[tuple[int, int], int] = {}
        for number, word in enumerate(self.words):
            node = 0
            for unit in spelled[word]:
                if (node, unit) not in children:
                    children[node, unit] = len(parents)
                    parents.append(node)
                    units.append(unit)
                    ends.append(-1)
                node = children[node, unit]
            ends[node] = number
        # node 0 is the root, before the first word; parents come before their children
        self._parents, self._units, self._word = np.array(parents), np.array(units), np.array(ends)
        self._ends = np.flatnonzero(self._word >= 0)
        self._first = np.flatnonzero((self._parents == 0) & (self._units != BLANK))
        # a unit after itself needs a blank between
        self._repeats = self._units == self._units[self._parents]

    def decode(self, log_probabilities: np.ndarray) -> str:
        """The words of the most probable path of units and blanks.

        Token passing (Young, Russell and Thornton, "Token passing: a simple conceptual model for connected speech
        recognition systems", 1989): frame by frame over all nodes at once, exact, without a beam.

        Args:
            log_probabilities: of units in frames, ``(frames, units)``.
        """
        if not self.words:
            return ""
        ends, first, parents = self._ends, self._first, self._parents
        # best paths that end in a node's unit, and in blanks after it; which words led there
        spoken, rested = np.full((2, len(parents)), -np.inf)
        spoken_words, rested_words = np.full((2, len(parents)), -1)
        rested[0] = 0.0
        said: list[tuple[int, int]] = []

        def close(node: int, before: int) -> int:
            said.append((int(self._word[node]), before))
            return len(said) - 1

        for scores in np.asarray(log_probabilities, dtype=np.float64):
            straight = np.where(self._repeats, -np.inf, spoken[parents])
            entered = np.maximum(straight, rested[parents])
            words = np.where(straight > rested[parents], spoken_words[parents], rested_words[parents])
            # a word begins: at first, after blanks, or straight after a word whose last unit is another
            paused = ends[np.argmax(rested[ends])]
            if rested[paused] + WORD_SCORE > rested[0]:
                entered[first] = rested[paused] + WORD_SCORE
                words[first] = close(paused, int(rested_words[paused]))
            near = ends[np.argmax(spoken[ends])]
            straight_after = [(near, first[self._units[first] != self._units[near]])]
            others = ends[self._units[ends] != self._units[near]]
            if len(others):
                same = first[self._units[first] == self._units[near]]
                straight_after.append((others[np.argmax(spoken[others])], same))
            for node, may in straight_after:
                better = may[spoken[node] + WORD_SCORE > entered[may]]
                if len(better):
                    entered[better] = spoken[node] + WORD_SCORE
                    words[better] = close(node, int(spoken_words[node]))
            rested_words = np.where(spoken > rested, spoken_words, rested_words)
            rested = np.maximum(spoken, rested) + scores[BLANK]
            spoken_words = np.where(entered > spoken, words, spoken_words)
            spoken = np.maximum(entered, spoken) + scores[self._units]
            # the root has no unit
            spoken[0] = -np.inf
        whole = np.maximum(spoken, rested)
        last = ends[np.argmax(whole[ends])]
        if not whole[last] + WORD_SCORE > whole[0]:
            return ""
        link = close(last, int(spoken_words[last] if spoken[last] > rested[last] else rested_words[last]))
        made = []
        while link >= 0:
            number, link = said[link]
            made.append(self.words[number])
        return " ".join(reversed(made))
