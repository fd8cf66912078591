from simulation.bench.masking import measure


def test_every_piece_of_work_is_measured_and_the_set_up_is_spread_over_its_turns() -> None:
    rows = dict(measure(sites=6, dim=64, turns=3, rounds=1))
    assert all(value >= 0 for value in rows.values())
    whole = rows["set-up: advertise"] + rows["set-up: deal"]
    assert rows["a site's set-up, per turn of 3"] == whole / 3
    assert "the coordinator: unmask, 1 lost" in rows
