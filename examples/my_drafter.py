"""A drafter of one's own: it proposes what followed the last time the text held the same token.

Run it with: python examples/my_drafter.py
"""

from covey import LLM, Draft, Drafter, SamplingParams


class EchoDrafter(Drafter):
    name = "echo"

    def propose(self, sequences, lengths):
        return [self.draft(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)]

    def draft(self, sequence, length):
        *before, last = sequence.tokens
        for at in range(len(before) - 1, -1, -1):
            if before[at] == last:
                tokens = tuple(sequence.tokens[at + 1 : at + 1 + length])
                survival = tuple(0.5 ** (i + 1) for i in range(len(tokens)))
                return Draft(len(sequence.tokens), sequence.prefix_id, tokens, survival, self.name)
        return Draft.empty(sequence, self.name)


if __name__ == "__main__":
    # At a fixed length, to see it draft: by itself covey finds that the toy is faster without.
    with LLM("toy", drafters=[EchoDrafter()], controller="fixed", num_speculative_tokens=4) as llm:
        done = llm.generate("the birds", SamplingParams(max_tokens=120, ignore_eos=True))[0]
    print(done.text)
    print(f"{done.stats.num_accepted_tokens} of {done.stats.num_draft_tokens} drafted tokens accepted")
