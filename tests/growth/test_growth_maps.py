"""Maps worked by hand: which unit and which layer of a grown model copies which."""

import json
import re

import pytest
import torch
from command_line import call

from continual.errors import ConfigError, PoolError
from continual.growth import EXPANSIONS
from continual.growth.elle import Elle
from continual.growth.exact import Exact
from continual.growth.maps import READER, Copies, GrowthMap
from continual.growth.sizes import Amount, Sizes, StackSizes

SIZES = Sizes(4, 2, {READER: StackSizes(3, 2, 2, 6)})


def planned(expansion, amount: Amount, sizes: Sizes = SIZES, one_head_map: bool = False) -> GrowthMap:
    return expansion.map("bert", sizes, amount, seed=0, one_head_map=one_head_map)


def test_copies_lie_beside_their_originals_and_are_spread_evenly():
    assert Copies.spread(3, 6).sources.tolist() == [0, 0, 1, 1, 2, 2]
    assert Copies.spread(3, 5).sources.tolist() == [0, 0, 1, 1, 2]
    assert Copies.spread(3, 5).counts.tolist() == [2, 2, 2, 2, 1]
    assert Copies.spread(3, 5).extra.tolist() == [False, True, False, True, False]
    assert Copies.spread(3, 6).even
    assert not Copies.spread(3, 5).even


def test_what_writes_units_is_copied_and_what_reads_them_is_shared():
    copies = Copies(torch.tensor([0, 1, 1, 0, 1]), 2)
    row = torch.tensor([[6.0, 12.0]])
    assert copies.copied(row, 1).tolist() == [[6, 12, 12, 6, 12]]
    assert copies.shared(row, 1).tolist() == [[3, 4, 4, 3, 4]]
    assert copies.shared(row, -1).tolist() == [[3, 4, 4, 3, 4]]
    units = torch.tensor([0.5, -1.0])
    assert float(copies.shared(row, 1)[0] @ copies.copied(units, 0)) == pytest.approx(float(row[0] @ units))


def test_unequal_shares_have_the_mean_of_equal_ones():
    copies = Copies(torch.tensor([0, 1, 1, 2, 1, 2]), 3)
    assert copies.tilted(0.2).tolist() == pytest.approx([1, 0.8, 1.0, 0.8, 1.2, 1.2])
    assert copies.tilted(0.0).tolist() == [1] * 6


def test_heads_are_copied_whole():
    assert Copies(torch.tensor([0, 1, 1]), 2).blocks(2).sources.tolist() == [0, 1, 2, 3, 2, 3]


def test_drawn_copies_come_behind_the_originals_and_are_the_same_for_the_same_seed():
    one, other = (Copies.drawn(4, 9, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.sources[:4].tolist() == [0, 1, 2, 3]
    assert one.sources.tolist() == other.sources.tolist()
    assert one.extra.tolist() == [False] * 4 + [True] * 5


def test_exact_depth_duplicates_from_the_top_and_moves_what_lies_behind():
    reader = planned(Exact(), Amount(layers=2)).reader
    assert [(layer.source, layer.place, layer.copies) for layer in reader.layers] == [
        (0, 0, 1),
        (1, 0, 2),
        (1, 1, 2),
        (2, 0, 2),
        (2, 1, 2),
    ]
    assert [reader.entry(layer) for layer in range(3)] == [0, 1, 3]
    assert [reader.behind(states) for states in range(4)] == [0, 1, 3, 5]
    assert [layer.source for layer in reader.above(1)] == [1, 1, 2, 2]


def test_exact_depth_beyond_the_number_of_layers_begins_again_at_the_top():
    reader = planned(Exact(), Amount(layers=4)).reader
    assert [layer.source for layer in reader.layers] == [0, 0, 1, 1, 2, 2, 2]


def test_exact_width_takes_whole_multiples_alone():
    plan = planned(Exact(), Amount(width=4))
    assert plan.residual.sources.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert plan.reader.layers[0].heads.sources.tolist() == [0, 0, 1, 1]
    assert len(plan.reader.layers[0].inner) == 12
    with pytest.raises(ConfigError, match=r"6 wide, but exact growth .* whole multiples alone; add 4, or grow by elle"):
        planned(Exact(), Amount(width=2))


def test_inner_width_alone_may_grow_by_any_number():
    plan = planned(Exact(), Amount(inner=2))
    assert plan.residual.unchanged
    assert plan.reader.layers[0].inner.sources.tolist() == [0, 0, 1, 2, 3, 3, 4, 5]


def test_elle_duplicates_no_layer_twice_before_all_have_been():
    for seed in range(5):
        added = list(Elle().duplicated(3, 5, seed))
        assert sorted(added.count(layer) for layer in range(3)) == [1, 2, 2]


def test_elle_has_maps_of_its_own_for_each_layer_unless_layers_share_what_belongs_to_heads():
    sizes = Sizes(16, 2, {READER: StackSizes(3, 8, 8, 32)})
    own = planned(Elle(), Amount(width=8), sizes).reader.layers
    shared = planned(Elle(), Amount(width=8), sizes, one_head_map=True).reader.layers
    assert len({tuple(layer.heads.sources.tolist()) for layer in own}) == 3
    assert len({tuple(layer.heads.sources.tolist()) for layer in shared}) == 1
    assert len({tuple(layer.inner.sources.tolist()) for layer in shared}) == 3


def test_query_heads_that_share_keys_are_copied_in_groups():
    sizes = Sizes(4, 2, {READER: StackSizes(1, 4, 2, 6)}, bound=False)
    layer = planned(Exact(), Amount(width=4), sizes).reader.layers[0]
    assert layer.keys.sources.tolist() == [0, 0, 1, 1]
    assert layer.heads.sources.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize("how", EXPANSIONS.names())
def test_a_map_is_the_same_for_the_same_seed_and_survives_json_and_tensors(how):
    amount = Amount(layers=2, width=4, inner=3)
    plan, again = (planned(EXPANSIONS.load(how)(), amount) for _ in range(2))
    value = json.loads(json.dumps(plan.to_json()))
    restored = GrowthMap.restored(value, plan.tensors())
    for other in (again, restored):
        assert other.to_json() == plan.to_json()
        assert all(torch.equal(other.tensors()[name], tensor) for name, tensor in plan.tensors().items())


def test_a_damaged_map_is_refused():
    plan = planned(Exact(), Amount(layers=1))
    with pytest.raises(PoolError, match=r"map of a growth is damaged .* grow the model again"):
        GrowthMap.restored(plan.to_json(), {})


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ({}, "The growth adds nothing, expected layers, width or inner above 0"),
        ({"layers": -1}, "^layers is -1, expected 0 or more"),
    ],
)
def test_amounts_that_are_none_are_refused(amount, message):
    with pytest.raises(ConfigError, match=message):
        Amount(**amount)


@pytest.mark.parametrize(
    ("how", "width", "advised"), [("exact", 1, 4), ("exact", 2, 4), ("exact", 6, 4), ("elle", 1, 2)]
)
def test_the_width_that_is_advised_is_one_that_can_be_made(how, width, advised):
    expansion = EXPANSIONS.load(how)()
    with pytest.raises(ConfigError, match=rf"add (a multiple of )?{advised}\b"):
        planned(expansion, Amount(width=width))
    assert len(planned(expansion, Amount(width=advised)).residual) == 4 + advised


@pytest.mark.parametrize(("heads", "keys", "width", "more"), [(9, 3, 576, 64), (9, 3, 36, 4), (32, 8, 4096, 100)])
def test_a_width_that_shared_heads_do_not_divide_is_refused_with_one_that_they_do(heads, keys, width, more):
    sizes = Sizes(width, 64, {READER: StackSizes(2, heads, keys, 4 * width)}, bound=False, divided=True)
    with pytest.raises(ConfigError, match=r"which is no multiple of so many heads in groups of \d; add \d+") as refused:
        Amount(width=more).of(sizes)
    advised = int(str(refused.value).rpartition(" ")[2].rstrip("."))
    assert more < advised < more + heads
    larger = Amount(width=advised).of(sizes)
    stack = larger.stacks[READER]
    assert larger.width % stack.heads == 0
    assert stack.heads == stack.keys * (heads // keys)
    assert Amount(width=width).of(sizes).stacks[READER].keys == 2 * keys


def test_the_number_of_shared_heads_is_the_nearest_that_divides_the_width():
    sizes = Sizes(48, 4, {READER: StackSizes(2, 6, 3, 96)}, bound=False, divided=True)
    assert Amount(width=32).of(sizes).stacks[READER].keys == 5  # 5/3 of them, and 10 heads divide 80
    assert Amount(width=16).of(sizes).stacks[READER].keys == 4
    assert Amount(width=18).of(sizes).stacks[READER].keys == 3  # 4 would be in proportion, but 8 do not divide 66


def test_a_width_that_heads_cannot_fill_is_refused():
    with pytest.raises(ConfigError, match="states 7 wide, which heads of 2 cannot fill; add a multiple of 2"):
        Amount(width=3).of(SIZES)


@pytest.mark.parametrize("how", EXPANSIONS.names())
def test_the_command_is_not_answered_with_settings_that_it_does_not_have(how, tmp_path):
    for options in (["--layers", "0"], ["--layers", "-1"], ["--width", "3"]):
        code, _, error = call("grow", "minilm", str(tmp_path / "larger"), "--how", how, *options)
        assert code == 2
        assert error.startswith("error: ")
        assert "growth." not in error
    assert not [*tmp_path.iterdir()], "what is refused leaves nothing behind"


def test_a_family_that_cannot_grow_is_refused_in_words_that_everybody_understands(tiny_folder, tmp_path):
    code, _, error = call("grow", str(tiny_folder("distilbert")), str(tmp_path / "larger"), "--layers", "1")
    assert code == 2
    assert "family 'distilbert' cannot grow" in error
    assert not re.search(r"growth\.\w", error)


def test_a_llama_whose_heads_do_not_divide_the_width_is_refused_before_anything_is_made(tmp_path):
    from tiny_generators import _tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    words = _tokenizer("llama")
    sizes = {"hidden_size": 36, "num_hidden_layers": 1, "num_attention_heads": 9, "num_key_value_heads": 3}
    LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=8, vocab_size=len(words))).save_pretrained(tmp_path / "m")
    words.save_pretrained(tmp_path / "m")
    arguments = ("grow", str(tmp_path / "m"), str(tmp_path / "larger"), "--how", "elle", "--width")
    code, _, error = call(*arguments, "4")
    assert code == 2
    assert "in groups of 3; add 9." in error
    assert call(*arguments, "9")[0] == 0
