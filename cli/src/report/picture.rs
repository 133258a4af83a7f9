//! Diagrams side by side as one SVG file that stands alone.

use std::fmt::Write;

/// Type and sizes of the words, as `page.css` has them.
const STYLE: &str = "text{font-family:system-ui,'Segoe UI','Helvetica Neue','DejaVu Sans',Arial,sans-serif;fill:#333}\
.title{font-size:14px;font-weight:600;fill:#222}.label{font-size:13px}.tick,.note{font-size:12px}\
.note{paint-order:stroke;stroke:#fff;stroke-width:3px}";

/// A file with `panels` of [`Plot::finish`](crate::report::plot::Plot::finish), all of this width and height, in rows of `columns`.
pub fn picture(panels: &[String], columns: usize, (width, height): (f64, f64)) -> String {
    let columns = columns.clamp(1, panels.len().max(1));
    let (w, h) = (width * columns as f64, height * panels.len().div_ceil(columns) as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\">\n\
         <style>{STYLE}</style>\n<rect width=\"{w:.0}\" height=\"{h:.0}\" fill=\"#fff\"/>\n"
    );
    for (k, panel) in panels.iter().enumerate() {
        let (x, y) = (width * (k % columns) as f64, height * (k / columns) as f64);
        let _ =
            writeln!(out, "<svg x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n{panel}</svg>");
    }
    out + "</svg>\n"
}
