"""Coverage-guided fuzzing of the pure HTTP core: `make fuzz`.

    targets/     what is fuzzed: one file each, with `check(data)`, which raises `Finding`, and its seeds
    reference/   slow, simple readers of the same protocols, which share no line with src/: what targets compare with
    planted.toml bugs that are put into a copy of src/ to prove that the fuzzer finds them
    findings/    inputs that failed (ignored by git); `python -m fuzz.replay FILE` shows one

Editing rules. A target is deterministic: its input decides everything, the splitting and the settings too. A check
counts steps and bytes, never time. What a reference says is written down from the RFC, not from our code. A bug that is
found here adds a case to tests/corpus, which is where the seeds come from.
"""
