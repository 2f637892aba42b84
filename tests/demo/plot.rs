//! Writes a plot as SVG: panels with one time axis. Readable on light and dark pages.

/// Unix time and value.
type Samples = Vec<(f64, f64)>;

pub(crate) struct Plot {
    pub(crate) title: String,
    /// The Unix time that the axis calls 0.
    pub(crate) zero: f64,
    /// Vertical lines with words.
    pub(crate) marks: Vec<(f64, String)>,
    /// The time of these samples is shaded in all panels.
    pub(crate) shade: (String, Samples),
    pub(crate) panels: Vec<Panel>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    /// Areas on top of each other, instead of lines.
    pub(crate) stacked: bool,
    pub(crate) lines: Vec<(String, Samples)>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 86.0;
const PANEL: f64 = 120.0;
/// Between two panels, for title and legend.
const GAP: f64 = 56.0;
const BOTTOM: f64 = 46.0;

/// Colours that people with colour blindness can tell apart (Okabe and Ito), somewhat lighter on dark pages.
const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .panel { font-weight: 600 }
  .page { fill: #ffffff }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .mark { stroke: #57606a; stroke-width: 1; stroke-dasharray: 4 3 }
  .shade { fill: #cf222e; fill-opacity: 0.14 }
  .alert { fill: #a40e26 }
  .line { fill: none; stroke-width: 2 }
  .area { fill-opacity: 0.55; stroke-width: 1 }
  .c0 { stroke: #0072b2; fill: #0072b2 } .c1 { stroke: #d55e00; fill: #d55e00 } .c2 { stroke: #009e73; fill: #009e73 }
  .c3 { stroke: #b8860b; fill: #b8860b } .c4 { stroke: #a0568a; fill: #a0568a }
  .line.c0, .line.c1, .line.c2, .line.c3, .line.c4 { fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .page { fill: #0d1117 }
    .grid { stroke: #30363d }
    .mark { stroke: #8b949e }
    .shade { fill: #ff7b72; fill-opacity: 0.2 }
    .alert { fill: #ffa198 }
    .c0 { stroke: #56b4e9; fill: #56b4e9 } .c1 { stroke: #f0883e; fill: #f0883e } .c2 { stroke: #3fcf9f; fill: #3fcf9f }
    .c3 { stroke: #e6c229; fill: #e6c229 } .c4 { stroke: #d99bc4; fill: #d99bc4 }
  }
";
const COLOURS: usize = 5;

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let count = self.panels.iter().fold(0.0, |count, _| count + 1.0);
        let height = TOP + count * PANEL + (count - 1.0) * GAP + BOTTOM;
        let (from, to) = self.range();
        let x = |time: f64| LEFT + (time - from) / (to - from) * (WIDTH - LEFT - RIGHT);
        let mut svg = vec![format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{0}</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text class=\"title\" x=\"{LEFT}\" y=\"24\">{0}</text>\n",
            escaped(&self.title)
        )];
        let bottom = height - BOTTOM;
        if let (Some(first), Some(last)) = (self.shade.1.first(), self.shade.1.last()) {
            let (left, right) = (x(first.0), x(last.0));
            let width = right - left;
            let middle = f64::midpoint(left, right);
            let words = escaped(&self.shade.0);
            svg.push(format!(
                "<rect class=\"shade\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>\n<text class=\"alert\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>\n",
                bottom - TOP,
                bottom - PANEL - 32.0,
            ));
        }
        for (time, words) in &self.marks {
            let at = x(*time);
            svg.push(format!(
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                TOP - 38.0,
                at + 4.0,
                TOP - 34.0,
                escaped(words)
            ));
        }
        let mut top = TOP;
        for panel in &self.panels {
            panel.write(&mut svg, top, x);
            top += PANEL + GAP;
        }
        self.write_axis(&mut svg, bottom, (from, to), x);
        svg.push("</svg>\n".to_owned());
        svg.concat()
    }

    /// The first and the last time of all samples.
    fn range(&self) -> (f64, f64) {
        let lines = self.panels.iter().flat_map(|panel| &panel.lines);
        let times = lines.flat_map(|(_, samples)| samples.iter().map(|(time, _)| *time));
        times.fold((f64::MAX, f64::MIN), |(from, to), time| {
            (from.min(time), to.max(time))
        })
    }

    fn write_axis(
        &self,
        svg: &mut Vec<String>,
        bottom: f64,
        (from, to): (f64, f64),
        x: impl Fn(f64) -> f64,
    ) {
        const STEP: f64 = 10.0;
        let mut second = ((from - self.zero) / STEP).ceil() * STEP;
        while self.zero + second <= to {
            let at = x(self.zero + second);
            let y = bottom + 16.0;
            svg.push(format!(
                "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{second}</text>\n"
            ));
            second += STEP;
        }
        let (at, y) = (f64::midpoint(LEFT, WIDTH - RIGHT), bottom + 36.0);
        svg.push(format!(
            "<text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">seconds since the change</text>\n"
        ));
    }
}

impl Panel {
    fn write(&self, svg: &mut Vec<String>, top: f64, x: impl Fn(f64) -> f64) {
        let lines = if self.stacked {
            stacked(&self.lines)
        } else {
            self.lines.clone()
        };
        let values = lines
            .iter()
            .flat_map(|(_, samples)| samples.iter().map(|(_, value)| *value));
        let most = round_up(values.fold(1.0, f64::max));
        let y = |value: f64| top + PANEL - value / most * PANEL;
        for part in [0.0, 0.5, 1.0] {
            let (at, value) = (y(most * part), most * part);
            let (left, right) = (LEFT, WIDTH - RIGHT);
            svg.push(format!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>\n",
                left - 8.0,
                at + 4.0
            ));
        }
        svg.push(format!(
            "<text class=\"panel\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>\n",
            top - 8.0,
            escaped(&self.title)
        ));
        let floor: Samples = lines.first().map_or_else(Samples::new, |(_, samples)| {
            samples.iter().map(|(time, _)| (*time, 0.0)).collect()
        });
        let below = std::iter::once(&floor).chain(lines.iter().map(|(_, samples)| samples));
        let areas: Vec<_> = lines.iter().zip(below).enumerate().collect();
        // From the last to the first: the first line is on top.
        for (index, ((_, samples), below)) in areas.into_iter().rev() {
            let (class, colour) = (if self.stacked { "area" } else { "line" }, index % COLOURS);
            let back = below.iter().rev().filter(|_| self.stacked);
            let points = samples.iter().chain(back);
            let points: Vec<_> = points
                .map(|(time, value)| format!("{:.1} {:.1}", x(*time), y(*value)))
                .collect();
            let path = points.join("L");
            svg.push(format!(
                "<path class=\"{class} c{colour}\" d=\"M{path}\"/>\n"
            ));
        }
        self.write_legend(svg, top);
    }

    /// Names with their colours, from the right.
    fn write_legend(&self, svg: &mut Vec<String>, top: f64) {
        let mut right = WIDTH - RIGHT;
        for (index, (name, _)) in self.lines.iter().enumerate().rev() {
            let width = name.chars().fold(0.0, |width, _| width + 7.8);
            let (text, box_) = (right - width, right - width - 16.0);
            svg.push(format!(
                "<rect class=\"area c{}\" x=\"{box_:.1}\" y=\"{:.1}\" width=\"11\" height=\"11\"/>\n<text x=\"{text:.1}\" y=\"{:.1}\">{}</text>\n",
                index % COLOURS,
                top - 18.0,
                top - 8.0,
                escaped(name)
            ));
            right = box_ - 14.0;
        }
    }
}

/// Each series with the sum of those before; a series without a sample at a time is 0 then.
fn stacked(lines: &[(String, Samples)]) -> Vec<(String, Samples)> {
    let mut times: Vec<f64> = lines
        .iter()
        .flat_map(|(_, samples)| samples.iter().map(|it| it.0))
        .collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut sums = vec![0.0; times.len()];
    let mut stack = |(name, samples): &(String, Samples)| {
        for (sum, time) in sums.iter_mut().zip(&times) {
            let sample = samples.iter().find(|(at, _)| at.total_cmp(time).is_eq());
            *sum += sample.map_or(0.0, |(_, value)| *value);
        }
        (
            name.clone(),
            times.iter().copied().zip(sums.iter().copied()).collect(),
        )
    };
    lines.iter().map(&mut stack).collect()
}

/// 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
