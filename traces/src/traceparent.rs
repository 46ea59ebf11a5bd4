//! `traceparent`: a span's place in its trace, as text (W3C Trace Context).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Longer ones are of no version that is known.
const LENGTH_MAX: usize = 256;

pub fn read(text: &str) -> Option<SpanContext> {
    if text.len() > LENGTH_MAX || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut parts = text.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = parts.next()?;
    let span = parts.next()?;
    let flags = hex(parts.next()?, 2)?;
    let is_known = version == 0 && parts.next().is_none() || (1..255).contains(&version);
    hex(trace, 32)?;
    hex(span, 16)?;
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    (is_known && context.is_valid()).then_some(context)
}

fn hex(text: &str, length: usize) -> Option<u128> {
    let is_hex = text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

pub fn write(context: &SpanContext) -> String {
    let flags = u8::from(context.is_sampled());
    format!(
        "00-{}-{}-{flags:02x}",
        context.trace_id(),
        context.span_id()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_the_same() {
        let context = read(GOOD).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(write(&context), GOOD);
    }

    #[test]
    fn later_versions_may_say_more() {
        let text = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-new";
        assert!(read(text).is_some());
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
