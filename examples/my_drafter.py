"""A drafter of one's own: it proposes what a list of stock phrases says next.

Run it with: python examples/my_drafter.py
"""

from covey import LLM, Draft, Drafter, SamplingParams


class PhraseDrafter(Drafter):
    name = "phrases"

    def __init__(self, phrases=(" the birds sing over the hill", " it flies home")):
        self.phrases = phrases

    def bind(self, host):
        self.ids = [tuple(host.tokenizer.encode(phrase)) for phrase in self.phrases]

    def propose(self, sequences, lengths):
        return [self.draft(sequence, length) for sequence, length in zip(sequences, lengths, strict=True)]

    def draft(self, sequence, length):
        for ids in self.ids:
            if sequence.tokens[-1:] == [ids[0]]:
                tokens = ids[1 : 1 + length]
                return Draft(len(sequence.tokens), sequence.prefix_id, tokens, (0.5,) * len(tokens), self.name)
        return Draft.empty(sequence, self.name)


if __name__ == "__main__":
    with LLM("toy", drafters=[PhraseDrafter()]) as llm:
        done = llm.generate("the birds", SamplingParams(max_tokens=60, temperature=0.7, seed=1))[0]
    print(done.text)
    print(f"{done.stats.num_accepted_tokens} of {done.stats.num_draft_tokens} drafted tokens accepted")
