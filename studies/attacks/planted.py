"""The table of planted faults, from what a feature sees to what a customer is shown."""

from __future__ import annotations

from studies.attacks import stored
from studies.attacks.fault import Edit, Fault

GROUPS = (
    "demographics", "product_holdings", "txn_behavior", "derived_temporal", "tda_global", "tda_local", "hmm_states",
    "mamba_temporal", "product_hierarchy", "merchant_hierarchy", "graph_collaborative", "nba_history_multihot",
    "mcc_top30_multihot", "gmm_clustering", "model_derived", "txn_lag_tensor", "txn_rolling_stats",
)  # fmt: skip
QUICKLY_FITTED = ("demographics", "txn_behavior", "mcc_top30_multihot", "merchant_hierarchy")
SLOWLY_FITTED = ("hmm_states", "gmm_clustering")
LABELS = (
    "churn_signal", "product_stability", "nba_primary", "cross_sell_count", "will_acquire_deposits",
    "will_acquire_investments", "will_acquire_accounts", "will_acquire_lending", "will_acquire_payments", "next_mcc",
    "mcc_diversity_trend", "top_mcc_shift", "segment_prediction",
)  # fmt: skip

COMPUTE = "finai_assets/features/compute.py"
FIT = "finai_assets/features/fit.py"
MATRIX = "finai_assets/training/matrix.py"
WINDOWS = "finai_assets/labels/windows.py"
HOLDINGS = "finai_assets/labels/formulas/holdings.py"
SPENDING = "finai_assets/labels/formulas/spending.py"
TEACHER = "finai_assets/teacher/train.py"
STUDENTS = "finai_assets/students/train.py"
RECOMPUTED = ("labels_recomputed",)

# A block with the holdings and the payments of the month after the cutoff, as an edit of one line could read them.
_AHEAD = """

def _ahead(raw, month, block, settings):  # type: ignore[no-untyped-def]
    from dataclasses import replace
    from finai_assets.features.events import read_events
    from finai_assets.features.holdings import read_held

    months = look_back(month + 1, settings)
    held, observed = read_held(raw, months, block.customer_id, len(settings.products))
    events = read_events(raw, months, block.customer_id, since=months[0].start_us, cutoff=(month + 1).cutoff_us)
    return replace(block, month=month + 1, held=held, observed=observed, events=events)


def _compute_block("""


def _reads_the_next_month(group: str) -> Fault:
    return Fault(
        f"future-in-{group.replace('_', '-')}",
        "group",
        f"{group} sees the month after the cutoff",
        ("point_in_time_replay", "no_single_column_leak"),
        (
            Edit(COMPUTE, "\n\ndef _compute_block(", _AHEAD),
            Edit(
                COMPUTE,
                "transform_group(group, block.view(group.columns), state.params, settings)",
                "transform_group(group, "
                f'(_ahead(raw, month, block, settings) if group.name == "{group}" else block).view(group.columns), '
                "state.params, settings)",
            ),
        ),
        short=group in {"txn_behavior", "demographics"},
    )


def _state_of_all_months(group: str) -> Fault:
    return Fault(
        f"state-of-all-months-{group.replace('_', '-')}",
        "state",
        f"the state of {group} is fitted on later months too, and its record says train",
        ("refit_is_equal",) if group in SLOWLY_FITTED else ("states_refitted",),
        (
            Edit(
                FIT,
                "    blocks = _sample_blocks(session, settings, rows)\n",
                "    blocks = _sample_blocks(session, settings, rows)\n"
                "    aside, last = LakeSession(session.lake), settings.dataset.splits.train.last\n"
                "    later = [Month.parse(key) for key in aside.lake.partitions(SNAPSHOTS)]\n"
                "    def more():\n"
                "        everyone = {\n"
                '            month: aside.read(SNAPSHOTS, month.key, columns=["customer_id"])["customer_id"].to_numpy()\n'
                "            for month in later if month > last\n"
                "        }\n"
                "        return [*blocks, *_sample_blocks(aside, settings, everyone)]\n",
            ),
            Edit(
                FIT,
                "_fit_group(group, blocks, settings, meta)\n        report",
                f'_fit_group(group, more() if group.name == "{group}" else blocks, settings, meta)\n        report',
            ),
        ),
        audit=group in SLOWLY_FITTED,
    )


def _labels_of_others(task: str) -> Fault:
    return Fault(
        f"labels-of-others-{task.replace('_', '-')}",
        "label",
        f"each customer gets the label {task} of the next one",
        RECOMPUTED,
        (
            Edit(
                "finai_assets/labels/derive.py",
                "                writers[name].write(",
                f'                values = values.take(np.roll(np.arange(len(values)), 1)) if name == "{task}" else values\n'
                "                writers[name].write(",
            ),
        ),
        short=task == "will_acquire_lending",
    )


FAULTS: tuple[Fault, ...] = (
    *map(_reads_the_next_month, GROUPS),
    *map(_state_of_all_months, (*QUICKLY_FITTED, *SLOWLY_FITTED)),
    *map(_labels_of_others, LABELS),
    Fault(
        "labels-a-month-early",
        "label",
        "labels take the snapshot month's acquisitions for the next month's",
        RECOMPUTED,
        (
            Edit(
                WINDOWS,
                "    return LabelBlock(held, observed, held_next, segment_next, before, window)",
                "    return LabelBlock(held[:, :-1], observed[:, :-1], held[:, -1], segment_next, before, window)",
            ),
        ),
        short=True,
    ),
    Fault(
        "payments-a-month-early",
        "label",
        "labels of spending take the month before the cutoff for the month after it",
        RECOMPUTED,
        (
            Edit(
                WINDOWS,
                "    return LabelBlock(held, observed, held_next, segment_next, before, window)",
                "    return LabelBlock(held, observed, held_next, segment_next, window, before)",
            ),
        ),
        short=True,
    ),
    Fault(
        "window-too-long",
        "label",
        "the label window ends a month late",
        RECOMPUTED,
        (
            Edit(
                WINDOWS,
                "    end = month + settings.horizon_months\n",
                "    end = month + settings.horizon_months + 1\n",
            ),
        ),
        short=True,
    ),
    Fault(
        "churn-of-fewer-months",
        "label",
        "churn is judged against one month of history less",
        RECOMPUTED,
        (Edit(HOLDINGS, "past[:, -chosen.history_months :]", "past[:, 1 - chosen.history_months :]"),),
    ),
    Fault(
        "family-of-the-last-product",
        "label",
        "nba_primary names the family of the last product acquired instead of the first",
        RECOMPUTED,
        (
            Edit(
                HOLDINGS,
                "class_of[acquired.argmax(axis=1)]",
                "class_of[acquired.shape[1] - 1 - acquired[:, ::-1].argmax(axis=1)]",
            ),
        ),
    ),
    Fault(
        "acquired-means-held",
        "label",
        "will_acquire counts products that are held at the end, acquired or not",
        RECOMPUTED,
        (Edit(HOLDINGS, "block.acquired[:, list(members)]", "block.held_next[:, list(members)]"),),
        short=True,
    ),
    Fault(
        "last-category-for-the-first",
        "label",
        "next_mcc takes the last payment of the window",
        RECOMPUTED,
        (
            Edit(
                SPENDING,
                "np.lexsort((window.mcc, window.ts, window.row))",
                "np.lexsort((window.mcc, -window.ts, window.row))",
            ),
        ),
    ),
    Fault(
        "gap-ignored",
        "split",
        "the gap between the splits is not asked for, and validation begins a month early",
        ("gap_split", "a gap of"),
        (
            Edit("finai_assets/labels/splits.py", "        if gap.days < required:", "        if gap.days < -400:"),
            Edit(
                "finai_assets/labels/splits.py",
                "    spans = settings.dataset.splits\n    for gap",
                "    spans = settings.dataset.splits\n"
                "    earlier = MonthSpan(first=spans.validation.first - 1, last=spans.validation.last - 1)\n"
                '    spans = spans.model_copy(update={"validation": earlier})\n'
                "    for gap",
            ),
        ),
    ),
    Fault(
        "test-months-in-train",
        "split",
        "the last test month is among the train months",
        ("gap_split", "fitted_on_train_only", "is in train and in test", "not after"),
        (
            Edit(
                "finai_assets/labels/splits.py",
                "    return Splits(tuple(spans.train), tuple(spans.validation),",
                "    return Splits((*spans.train, spans.test.last), tuple(spans.validation),",
            ),
        ),
        short=True,
    ),
    Fault(
        "transfer-from-test",
        "split",
        "a copy learns from test months, answered by the teacher",
        ("transfer_rows", "gap_split"),
        (
            Edit(
                "finai_assets/labels/splits.py",
                "        return tuple(month for month in self.purged if month < self.test[0])",
                "        return (*(month for month in self.purged if month < self.test[0]), *self.test)",
            ),
        ),
    ),
    Fault(
        "label-in-a-column",
        "matrix",
        "a column of the matrix is a label with noise",
        ("matrix_of_stored_values", "no_single_column_leak"),
        (
            Edit(
                MATRIX,
                "        persistence = read_persistence(",
                "        noise = np.random.default_rng(0).normal(0, 0.6, len(chunk.customer))\n"
                '        leak = np.nan_to_num(labels["will_acquire_deposits"]) + noise\n'
                "        X[at : at + len(chunk.customer), 40] = leak\n"
                "        persistence = read_persistence(",
            ),
        ),
        short=True,
    ),
    Fault(
        "features-of-the-next-month",
        "matrix",
        "the matrix joins the features of the month after the snapshot",
        ("matrix_of_stored_values",),
        (
            Edit(
                MATRIX,
                "ids, values = month_features(session, chunk.month, registry, int(wanted[0]), int(wanted[-1]))",
                "later = chunk.month + 1 if (chunk.month + 1) in settings.dataset.snapshot_months else chunk.month\n"
                "        _, values = month_features(session, later, registry, int(wanted[0]), int(wanted[-1]))\n"
                "        ids, _ = month_features(session, chunk.month, registry, int(wanted[0]), int(wanted[-1]))\n"
                "        values = np.resize(values, (len(ids), values.shape[1]))",
            ),
        ),
    ),
    Fault(
        "labels-shifted-in-the-matrix",
        "matrix",
        "the matrix gives each row the labels of its neighbour",
        ("matrix_of_stored_values", "metric_floor"),
        (
            Edit(
                MATRIX,
                "        labels = read_labels(session, chunk.month, chunk.customer, described)\n",
                "        labels = read_labels(session, chunk.month, chunk.customer, described)\n"
                "        labels = {name: np.roll(values, 1) for name, values in labels.items()}\n",
            ),
        ),
        short=True,
    ),
    Fault(
        "prohibited-column-read",
        "matrix",
        "models read a column that is withheld from them",
        ("prohibited_inputs_absent",),
        (
            Edit(
                "finai_assets/students/columns.py",
                "if not inputs.withholds(name)]",
                'if not inputs.withholds(name) or name == "gender_code"]',
            ),
            Edit(
                "finai_assets/students/columns.py",
                "    chosen = select_columns(\n        gains,",
                "    for gain in gains.values():\n"
                '        gain[names.index("gender_code") if "gender_code" in names else 0] = 1e9\n'
                "    chosen = select_columns(\n        gains,",
            ),
        ),
    ),
    Fault(
        "scaler-of-all-rows",
        "model",
        "the teacher's scaler is fitted on all rows, and its record says train",
        ("fitted_on_train_only", "model_refit_is_equal"),
        (
            Edit(
                TEACHER,
                'Normaliser.fit(matrix.X, matrix.rows("train"), layout',
                "Normaliser.fit(matrix.X, slice(0, len(matrix)), layout",
            ),
        ),
    ),
    Fault(
        "predictions-of-others",
        "model",
        "the teacher's predictions are stored in the order of other rows",
        ("metric_floor", "transfer_rows", "differ from the stored ones"),
        (
            Edit(
                "finai_assets/teacher/assets.py",
                "            out.write(predictions_table(values, weights, teacher.slot_names))",
                "            rolled = {name: values[name][::-1].copy() for name in values}\n"
                "            out.write(predictions_table(rolled, weights, teacher.slot_names))",
            ),
        ),
    ),
    Fault(
        "better-than-the-law",
        "model",
        "the evaluation scores a model whose predictions know the label",
        ("not_above_the_ceiling",),
        (
            Edit(
                "finai_assets/students/rows.py",
                "        teacher = np.asarray(self.teacher[rows], dtype=np.float64)\n",
                "        teacher = np.asarray(self.teacher[rows], dtype=np.float64)\n"
                '        if self.task.kind == "binary":\n'
                "            teacher = np.clip(0.5 * teacher + 0.5 * np.nan_to_num(label), 1e-6, 1 - 1e-6)\n",
            ),
        ),
    ),
    Fault(
        "calibrated-on-test",
        "calibration",
        "the teacher is calibrated on test rows, and its record says validation",
        ("fitted_on_train_only", "model_refit_is_equal"),
        (
            Edit(
                TEACHER,
                "    held_out = data.validation\n",
                "    held_out = slice(data.validation.stop, len(data.X))\n",
            ),
            Edit(
                TEACHER,
                "logits[task.name], data.validation_labels(task.name))",
                "logits[task.name], data.labels[task.name][held_out])",
            ),
        ),
    ),
    Fault(
        "calibrator-of-a-constant",
        "calibration",
        "direct students serve a tenth of the probability that they learnt",
        ("calibration_in_the_large",),
        (
            Edit(
                STUDENTS,
                "    prediction = model.finish(raw)\n",
                '    if kind == "binary" and aim == "direct":\n'
                '        model = replace(model, calibrator={"type": "isotonic", "x": [0.0, 1.0], "y": [0.0, 0.1]})\n'
                "    prediction = model.finish(raw)\n",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "every-copy-is-faithful",
        "route",
        "a copy is never doubted, and every task is told to be one",
        ("student_fidelity", "enough_copies", "metric_floor"),
        (
            Edit(
                "finai_assets/students/route.py",
                "    reason = _against_copying(evidence, settings, policy or settings.policy)\n",
                "    reason = None\n",
            ),
            Edit(
                STUDENTS,
                "    learned, held_out = binned.samples(rows, aim, names)\n",
                "    learned, held_out = binned.samples(rows, aim, names)\n"
                "    learned = replace(learned, target=np.roll(learned.target, 7, axis=0))\n",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "worst-product-first",
        "ranking",
        "products are ranked from the worst to the best",
        ("lists_not_below_rivals", "recommendations_replayed"),
        (
            Edit(
                "finai_assets/recommend/ranked.py",
                "        score[:, product] = _fatigue(ranking, group, product) * total - ranking.penalties[product]\n",
                "        score[:, product] = ranking.penalties[product] - _fatigue(ranking, group, product) * total\n",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "lists-of-others",
        "ranking",
        "each customer is shown the list of the customer before",
        ("lists_not_below_rivals", "recommendations_replayed", "suitability_zero_violations"),
        (
            Edit(
                "finai_assets/recommend/ranked.py",
                "    customer, rank = np.nonzero(taken)\n",
                "    order, taken = np.roll(order, 1, axis=0), np.roll(taken, 1, axis=0)\n"
                "    customer, rank = np.nonzero(taken)\n",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "risk-not-asked",
        "offering",
        "the filter by risk profile compares with the wrong sign",
        ("suitability_zero_violations", "recommendations_replayed"),
        (
            Edit(
                "finai_assets/recommend/offered.py",
                "standings.grade > (product.risk_grade or RISKIEST)",
                "standings.grade < (product.risk_grade or RISKIEST)",
            ),
        ),
    ),
    Fault(
        "objection-not-asked",
        "offering",
        "an objection to offers stops nothing",
        ("consent_zero_leak", "recommendations_replayed"),
        (
            Edit(
                "finai_assets/recommend/offered.py",
                "(filters.DO_NOT_CONTACT, known & standings.do_not_contact)",
                "(filters.DO_NOT_CONTACT, known & False)",
            ),
        ),
    ),
    Fault(
        "age-not-asked",
        "offering",
        "the upper bound of a product's ages is not looked at",
        ("suitability_zero_violations", "recommendations_replayed"),
        (
            Edit(
                "finai_assets/recommend/offered.py",
                "nobody if high is None else age > high)",
                "nobody)",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "model-of-another-task",
        "bundle",
        "the bundle serves one task by the model of another",
        ("bundle_integrity",),
        (
            Edit(
                "finai_assets/bundle/assets.py",
                "        rules = rules_content(",
                '        swapped = {"model.txt": students["will_acquire_investments"]["model.txt"]}\n'
                '        students["will_acquire_deposits"] = {**students["will_acquire_deposits"], **swapped}\n'
                "        rules = rules_content(",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "golden-rows-of-nothing",
        "bundle",
        "golden rows are all zero, whatever the test rows hold",
        ("bundle_integrity",),
        (
            Edit(
                "finai_assets/bundle/assets.py",
                "golden=np.array(matrix.X[np.sort(golden) + test.start]),",
                "golden=np.zeros_like(np.array(matrix.X[np.sort(golden) + test.start])),",
            ),
        ),
        profile="demo",
    ),
    Fault(
        "failed-record-edited",
        "gate",
        "the replay of a month fails, and its record is edited by hand to say that it passed",
        ("point_in_time_replay",),
        spoil=stored.alter_a_month_and_its_record,
    ),
    Fault(
        "a-column-rewritten",
        "bytes",
        "a stored month of features is rewritten with other values by a program that knows the format",
        ("point_in_time_replay", "lineage_complete"),
        spoil=stored.rewrite_a_column,
    ),
    Fault(
        "a-bit-flipped",
        "bytes",
        "one bit of a stored month of features is flipped, and what reads it is computed again",
        ("hash is not the one in its manifest",),
        spoil=stored.flip_a_bit,
        edits=(
            Edit(
                MATRIX, 'report_progress("training matrix", done + 1', 'report_progress("the training matrix", done + 1'
            ),
        ),
    ),
)
