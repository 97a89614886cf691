//! How the simulated provider behaves: `[sim]`.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::raw::{Node, Value};
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::config::units::Invalid;
use crate::provider::Provider;
use crate::sim::{Chance, Settings};

/// The settings of the simulated provider inside this process.
pub(super) fn settings(section: &Section<'_>, providers: &[Arc<Provider>]) -> Option<Settings> {
    let seed = section.value("seed", read::count(0, i64::MAX as u64));
    let tokens = section.value("tokens", spread);
    let ttft = section.value("ttft", spread);
    let gap = section.value("gap", spread);
    let burst = section.value("burst", read::some);
    let early_head = section.value("early_head", read::flag);
    let faults = section.get("faults", faults);
    let models = section.value("models", |node: &Node| {
        let texts = read::texts(node)?;
        Ok(texts.map(|texts| texts.iter().map(|(_, text)| text.text.clone()).collect()))
    });
    // The largest embedding any real model gives, with room.
    let dimensions = section.value("dimensions", read::count(1, 16_384));
    let strict = section.value("strict", read::flag);
    let max_streams = section.value("max_streams", read::count(1, read::MOST));
    if section.is_there()
        && !providers.is_empty()
        && !providers.iter().any(|one| one.is_in_process())
    {
        let message = "shapes a provider that is not in use; add [providers.sim]";
        section
            .report
            .notice(&section.place, &section.path, message);
    }
    Some(Settings {
        seed: seed?,
        tokens: tokens?,
        ttft: ttft?,
        gap: gap?,
        burst: burst?.get(),
        early_head: early_head?,
        faults: faults.unwrap_or_default(),
        models: models?,
        dimensions: dimensions? as usize,
        strict: strict?,
        max_streams: max_streams? as u32,
        ..Settings::default()
    })
}

/// A distribution. A count may be written without quotes.
fn spread<T: FromStr<Err: Display>>(node: &Node) -> Read<T> {
    let form = "a value or a distribution, as a string like \"uniform(50ms,200ms)\"";
    match &node.value {
        Value::Text(text) => read::as_written(text, str::parse, "a distribution", form),
        Value::Integer(number) => number
            .to_string()
            .parse()
            .map(Some)
            .map_err(|why: T::Err| Invalid::new(why.to_string())),
        Value::Broken => Ok(None),
        other => Err(Invalid::new(format!("is {}; write {form}", other.kind()))),
    }
}

fn faults(node: &Node) -> Read<Vec<Chance>> {
    let Some(texts) = read::texts(node)? else {
        return Ok(None);
    };
    let mut faults: Vec<Chance> = Vec::with_capacity(texts.len());
    for (_, text) in texts {
        let fault = read::as_written(text, str::parse::<Chance>, "a fault", "FAULT:PROBABILITY")?;
        faults.extend(fault);
    }
    let sum: f64 = faults.iter().map(|fault| fault.probability).sum();
    // A sum of decimals may miss 1 by a rounding.
    if sum > 1.0 + 1e-9 {
        return Err(Invalid::new(
            "has probabilities that add up to more than 1; lower them",
        ));
    }
    Ok(Some(faults))
}
