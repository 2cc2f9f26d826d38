//! The plot: four small charts over the same hours, as SVG that stands alone.
//!
//! Colours are told apart in light and dark, by the reader's own choice, and lines also by their dashes.

use std::fmt::Write as _;

use crate::run::Outcome;
use crate::sample::Sample;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
/// Of a chart, its title included.
const HEIGHT: f64 = 190.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 26.0;
/// Room for what the lines are.
const LEGEND: f64 = 30.0;

const STYLE: &str = "
    text { font: 12px system-ui, sans-serif; fill: #3a3f45 }
    .title { font-weight: 600; fill: #15181b }
    .grid { stroke: #d9dde2; stroke-width: 1 }
    .axis { stroke: #8a9199; stroke-width: 1 }
    .outage { fill: #b3541e; fill-opacity: .16 }
    .line { fill: none; stroke-width: 1.4; stroke-linejoin: round }
    .a { stroke: #0b62a8 } .b { stroke: #b3541e } .c { stroke: #0b62a8; stroke-dasharray: 5 3 } .d { stroke: #b3541e; stroke-dasharray: 5 3 }
    .back { fill: #ffffff }
    @media (prefers-color-scheme: dark) {
      text { fill: #b9c0c8 } .title { fill: #eef1f4 } .grid { stroke: #30363d } .axis { stroke: #767f88 }
      .a, .c { stroke: #6cb6ff } .b, .d { stroke: #f0a070 } .outage { fill: #f0a070 } .back { fill: #0d1117 }
    }";

/// A line: its class, and its points.
type Line = (&'static str, Vec<(f64, f64)>);

/// Draws what was sampled.
pub(crate) fn draw(outcome: &Outcome) -> String {
    let names: Vec<&str> = outcome.figures.iter().map(|figures| figures.name).collect();
    let own: Vec<Vec<&Sample>> = names.iter().map(|name| outcome.of(name)).collect();
    let end = outcome.samples.iter().map(|sample| sample.seconds).fold(1.0, f64::max);
    let of = |classes: [&'static str; 2], value: fn(&Sample) -> Option<f64>| -> Vec<Line> {
        let points = |samples: &Vec<&Sample>| {
            samples.iter().filter_map(|sample| Some((sample.seconds, value(sample)?))).collect()
        };
        classes.into_iter().zip(own.iter().map(points)).collect()
    };
    let memory = of(["a", "b"], |sample| Some(sample.resident_bytes as f64 / f64::from(1 << 20)));
    let mut handles = of(["a", "b"], |sample| Some(sample.descriptors as f64));
    handles.extend(of(["c", "d"], |sample| Some(sample.threads as f64)));
    let behind = of(["a", "b"], |sample| Some(sample.behind_seconds? / 60.0));
    let rates = ["a", "b"].into_iter().zip(own.iter().map(|samples| rate(samples, end))).collect();
    let charts: [(&str, Vec<Line>); 4] = [
        ("Resident memory, MiB", memory),
        ("Open descriptors (whole line) and threads (dashes)", handles),
        ("Kept position behind the feed's clock, minutes of the feed (60 are a minute of ours)", behind),
        ("Documents at the sink, thousands a minute", rates),
    ];
    let height = LEGEND + HEIGHT * charts.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>Soak</title>\n<style>{STYLE}\n</style>\n<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for (at, (name, class)) in names.iter().zip(["a", "b"]).enumerate() {
        let x = LEFT + at as f64 * 200.0;
        let _ = writeln!(
            svg,
            "<path class=\"line {class}\" d=\"M{x} 18h28\"/><text x=\"{}\" y=\"22\">into {name}</text>",
            x + 36.0
        );
    }
    let outages = outages(own.first().map_or(&[], Vec::as_slice));
    for (at, (title, lines)) in charts.iter().enumerate() {
        chart(&mut svg, LEGEND + HEIGHT * at as f64, title, lines, &outages, end);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Thousands of documents a minute, over stretches long enough to be read.
fn rate(samples: &[&Sample], end: f64) -> Vec<(f64, f64)> {
    let stretch = (end / 120.0).max(5.0);
    let mut points = Vec::new();
    let mut last: Option<&Sample> = None;
    for sample in samples {
        let Some(before) = last else {
            last = Some(sample);
            continue;
        };
        let seconds = sample.seconds - before.seconds;
        if seconds >= stretch {
            let more = (sample.written - before.written) as f64;
            points.push((sample.seconds, more / seconds * 60.0 / 1_000.0));
            last = Some(sample);
        }
    }
    points
}

/// From when to when somebody was away.
fn outages(samples: &[&Sample]) -> Vec<(f64, f64)> {
    let pairs = samples.windows(2).filter(|pair| pair[0].outage);
    pairs.map(|pair| (pair[0].seconds, pair[1].seconds)).collect()
}

fn chart(svg: &mut String, top: f64, title: &str, lines: &[Line], outages: &[(f64, f64)], end: f64) {
    let most = lines.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(0.0, f64::max);
    let step = step(most.max(1e-9), 4.0);
    let most = (most / step).ceil().max(1.0) * step;
    let (low, high) = (top + HEIGHT - BOTTOM, top + TOP);
    let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| low - value / most * (low - high);
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{title}</text>", top + 22.0);
    for (from, until) in outages {
        let _ = writeln!(
            svg,
            "<rect class=\"outage\" x=\"{:.1}\" y=\"{high:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x(*from),
            (x(*until) - x(*from)).max(1.0),
            low - high
        );
    }
    for tick in 0..=(most / step).round() as u32 {
        let value = f64::from(tick) * step;
        let class = if tick == 0 { "axis" } else { "grid" };
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{LEFT} {:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y(value),
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(value) + 4.0,
            short(value)
        );
    }
    let (unit, seconds) = [("h", 3_600.0), ("min", 60.0), ("s", 1.0)]
        .into_iter()
        .find(|(_, seconds)| end >= 1.5 * seconds)
        .unwrap_or(("s", 1.0));
    let step = self::step(end / seconds, 8.0);
    for tick in 0..=(end / seconds / step) as u32 {
        let value = f64::from(tick) * step;
        let at = x(value * seconds);
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{at:.1} {low:.1}v4\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} {unit}</text>",
            low + 17.0,
            short(value)
        );
    }
    for (class, points) in lines {
        let heights: Vec<String> = points.iter().map(|point| format!("{:.1}", y(point.1))).collect();
        let mut path = String::new();
        for (at, (seconds, _)) in points.iter().enumerate() {
            // What lies on a level line needs no point of its own.
            let around = at.checked_sub(1).and_then(|before| heights.get(before)).zip(heights.get(at + 1));
            if around.is_some_and(|(before, after)| *before == heights[at] && *after == heights[at]) {
                continue;
            }
            let _ = write!(path, "{}{:.1} {}", if at == 0 { "M" } else { "L" }, x(*seconds), heights[at]);
        }
        let _ = writeln!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
}

/// The distance of ticks: 1, 2 or 5 times a power of ten, so that there are about so many.
fn step(most: f64, ticks: f64) -> f64 {
    let rough = most / ticks;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough).unwrap_or(10.0);
    times * power
}

/// A number without needless digits.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
