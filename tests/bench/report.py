"""Tables on a terminal: medians, paired ratios with their spread, verdicts.

Machines swing by a fifth and more within minutes, so a ratio is taken within
a round, where both sides were measured a second apart, and only then the
median over rounds, with its extremes. A wish is met if the median says so,
"in the noise" if only an extreme does."""

import statistics


def iops(sample):
    return sample["ops"] / sample["seconds"] if sample["seconds"] else 0.0


def cpu_ns(sample):
    return sample["cpu_ns"] / sample["ops"] if sample["ops"] else 0.0


METRICS = {
    "iops": (iops, max),
    "cpu": (cpu_ns, min),
    "p50": (lambda s: s["p50_ns"], min),
}


def ratios(rounds, metric, who, against):
    """[who / best of against], for the rounds that have both."""
    value, best = METRICS[metric]
    out = []
    for samples in rounds:
        others = [value(samples[a]) for a in against if a in samples]
        if who in samples and others and best(others) > 0:
            out.append(value(samples[who]) / best(others))
    return out


def spread(values, form="%.2f"):
    """The median and, if there is more than one, the extremes."""
    if not values:
        return "-"
    middle = form % statistics.median(values)
    if len(values) == 1:
        return middle
    return "%s (%s..%s)" % (middle, form % min(values), form % max(values))


def count(n):
    if n >= 1e6:
        return "%.2fM" % (n / 1e6)
    if n >= 1e4:
        return "%.1fk" % (n / 1e3)
    return "%.0f" % n


def microseconds(ns):
    return "%.1f" % (ns / 1e3) if ns < 1e6 else "%.0f" % (ns / 1e3)


def table(rows, indent=""):
    """Rows of strings; numbers to the right, sentences to the left. A row of
    two cells is a sentence about its first: it may be long."""
    widths = [max(len(row[i]) for row in rows if i < len(row) and
                  (len(row) > 2 or i == 0))
              for i in range(max(map(len, rows)))] \
        if max(map(len, rows)) > 2 else [max(len(r[0]) for r in rows), 0]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        if len(row) == 2:
            cells.append(row[1])
        else:
            cells += [cell.rjust(width)
                      for cell, width in zip(row[1:], widths[1:])]
        print((indent + "  ".join(cells)).rstrip())


def per_thousand(sample, key):
    if key not in sample or not sample["ops"]:
        return "-"
    return "%.1f" % (sample[key] * 1000 / sample["ops"])


# What one is called, and how many there are in a second.
REQUESTS = ("req", "IOPS")


def print_cell(name, contenders, rounds, failures, line, words=REQUESTS):
    """One cell: a row per contender; ratios are of vub to that row."""
    print("\n%s   (a cache line there and back: %s ns)" %
          (name, spread(line, "%.0f")))
    rows = [("", "CPU ns/" + words[0], "vub/it", words[1], "vub/it", "p50 us",
             "p99", "p99.9", "kicks/1k", "calls/1k", "load busy")]
    for contender in contenders:
        samples = [r[contender] for r in rounds if contender in r]
        if not samples:
            rows.append((contender, failures.get(contender, "no sample")))
            continue

        def median(value):
            return statistics.median(map(value, samples))

        # The sample in the middle speaks for what is not a median.
        middle = sorted(samples, key=iops)[len(samples) // 2]
        versus = {m: "" if contender == "vub" else
                     spread(ratios(rounds, m, "vub", (contender,)))
                  for m in ("cpu", "iops")}
        rows.append((contender, "%.0f" % median(cpu_ns), versus["cpu"],
                     count(median(iops)), versus["iops"],
                     microseconds(median(lambda s: s["p50_ns"])),
                     microseconds(median(lambda s: s["p99_ns"])),
                     microseconds(median(lambda s: s["p999_ns"])),
                     per_thousand(middle, "kicks"),
                     per_thousand(middle, "calls"),
                     "%.0f %%" % (middle["busy"] * 100)
                     if "busy" in middle else "-"))
    table(rows, "  ")


def verdict(values, bound, at_least):
    middle = statistics.median(values)
    best = max(values) if at_least else min(values)
    if middle >= bound if at_least else middle <= bound:
        return "met"
    if best >= bound if at_least else best <= bound:
        return "in the noise"
    return "missed"


def judge(wanted, results):
    """[(wish as a sentence, measured, verdict)] of what was measured."""
    out = []
    for wish in wanted:
        rounds = results.get(wish.cell)
        if not rounds:
            continue
        values = ratios(rounds, wish.metric, wish.who, wish.against)
        if not values:
            continue
        asked = "%s: %s %s, %s %.2f" % (
            wish.cell, wish.who, wish.text,
            "at least" if wish.at_least else "at most", wish.bound)
        out.append((asked, spread(values),
                    verdict(values, wish.bound, wish.at_least)))
    return out


def print_verdicts(rows):
    if not rows:
        return
    print("\nWanted")
    table([("", "measured", "")] + rows, "  ")
    missed = sum(row[2] == "missed" for row in rows)
    print("  %d wishes, %d met, %d in the noise, %d missed" %
          (len(rows), sum(row[2] == "met" for row in rows),
           sum(row[2] == "in the noise" for row in rows), missed))
