//! Names of the operator's own, and what stands behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::nearest::nearest;
use crate::config::raw::{Node, Text, Value, join};
use crate::config::read::{self, Read};
use crate::config::section::Section;
use crate::config::units::{Invalid, quoted};
use crate::config::{Balance, FallbackOn, Hedge, Model, OnLoss, TargetName, Timeouts};
use crate::provider::{Provider, family, retired};

use super::{share, timeouts};

/// `[models.NAME]`, each.
pub(super) fn models(
    root: &Section<'_>,
    providers: &[Arc<Provider>],
    base: Option<Timeouts>,
    is_whole: bool,
) -> BTreeMap<String, Model> {
    // What is wrong with a provider is told there, not at every use of it.
    let written = root.section("providers").named();
    let written: Vec<_> = written.iter().map(|(name, _)| *name).collect();
    let known = Known {
        providers,
        written: &written,
    };
    root.section("models")
        .named()
        .into_iter()
        .filter(|(_, section)| section.is_there())
        .filter_map(|(name, section)| model(name, &section, &known, base, is_whole))
        .map(|model| (model.name.clone(), model))
        .collect()
}

/// The providers a target may name.
struct Known<'a> {
    providers: &'a [Arc<Provider>],
    /// All that were written, usable or not.
    written: &'a [&'a str],
}

fn model(
    name: &str,
    section: &Section<'_>,
    known: &Known<'_>,
    base: Option<Timeouts>,
    is_whole: bool,
) -> Option<Model> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        section
            .report
            .problem(&section.place, &section.path, "cannot be a model's name");
        return None;
    }
    if let Some((first, _)) = name.split_once('/')
        && known
            .providers
            .iter()
            .any(|provider| provider.name == first)
    {
        let message =
            format!("is never used: {first}/… always means the provider; use another name");
        section
            .report
            .notice(&section.place, &section.path, message);
    }
    let targets = targets(section, known, is_whole);
    let balance = section.value("balance", balance);
    let weights = weights(section, targets.as_ref(), balance);
    let fallback_on = fallback_on(section);
    let hedge = section.value("hedge", hedge);
    let words = [("report", OnLoss::Report), ("reject", OnLoss::Reject)];
    let on_loss = section.value("on_loss", read::word(&words));
    let words = [("off", false), ("auto", true)];
    let prompt_cache = section.value("prompt_cache", read::word(&words));
    let share = section.get("share", share);
    let timeout = timeouts(&section.section("timeout"), base);
    if let (Some(Balance::Sticky), Some(Hedge::Quantile(_) | Hedge::After(_))) = (balance, hedge) {
        section.problem(
            "hedge",
            "asks a second target, and balance = \"sticky\" keeps a caller on one; drop either",
        );
    }
    Some(Model {
        name: name.to_owned(),
        targets: targets?,
        weights: weights?,
        balance: balance?,
        fallback_on: fallback_on?,
        hedge: hedge?,
        on_loss: on_loss?,
        prompt_cache: prompt_cache?,
        share,
        timeout: timeout?,
    })
}

fn targets(section: &Section<'_>, known: &Known<'_>, is_whole: bool) -> Option<Vec<TargetName>> {
    if section.node("targets").is_none() {
        // A broken line may well have held it.
        if is_whole {
            section.problem(
                "targets",
                "is missing; write targets = [\"provider/model\"]",
            );
        }
        return None;
    }
    let texts_of = |node: &Node| -> Read<()> { Ok(read::texts(node)?.map(|_| ())) };
    section.get("targets", texts_of)?;
    let written = section.node("targets").map(read::texts)?.ok()??;
    if written.is_empty() {
        section.problem("targets", "is empty; write at least one \"provider/model\"");
        return None;
    }
    let mut targets = Vec::with_capacity(written.len());
    let mut sound = true;
    for (node, text) in written {
        match target(text, known) {
            Ok(None) => sound = false,
            Ok(Some(target)) => {
                warn_of(
                    section,
                    node,
                    "targets",
                    &target.provider.name,
                    &target.model,
                );
                targets.push(target);
            }
            Err(why) => {
                sound = false;
                let path = join(&section.path, "targets");
                section.report.problem(&node.place, path, why.to_string());
            }
        }
    }
    sound.then_some(targets)
}

/// The weight of each target; the same for all where none are written.
fn weights(
    section: &Section<'_>,
    targets: Option<&Vec<TargetName>>,
    balance: Option<Balance>,
) -> Option<Vec<u32>> {
    let count = targets.map_or(0, Vec::len);
    if section.node("weights").is_none() {
        return Some(vec![1; count]);
    }
    let weights = section.get("weights", read::list(read::count(0, 1_000)))?;
    if balance.is_some_and(|balance| balance != Balance::Weighted) {
        section.notice(
            "weights",
            "are for balance = \"weighted\" and count for nothing here",
        );
    }
    if targets.is_some() && weights.len() != count {
        section.problem(
            "weights",
            format!(
                "has {} and there are {count} targets; write one for each",
                weights.len()
            ),
        );
        return None;
    }
    if weights.iter().all(|weight| *weight == 0) {
        section.problem("weights", "are all 0, so nobody would be asked; raise one");
        return None;
    }
    Some(weights.into_iter().map(|weight| weight as u32).collect())
}

fn fallback_on(section: &Section<'_>) -> Option<Vec<FallbackOn>> {
    if section.node("fallback_on").is_none() {
        return Some(Vec::new());
    }
    let named = read::word(&[
        ("context_length", FallbackOn::ContextLength),
        ("content_policy", FallbackOn::ContentPolicy),
    ]);
    section.get(
        "fallback_on",
        read::list(|node: &Node| match node.value {
            Value::Integer(_) => Ok(read::count(400, 499)(node)?
                .and_then(|status| u16::try_from(status).ok())
                .map(FallbackOn::Status)),
            _ => named(node),
        }),
    )
}

fn target(text: &Text, known: &Known<'_>) -> Read<TargetName> {
    let Some((first, model)) = text.text.split_once('/') else {
        let example = family(&text.text).unwrap_or("PROVIDER");
        return Err(Invalid::new(format!(
            "{} names no provider; write \"{example}/{}\"",
            quoted(&text.written),
            text.written
        )));
    };
    if model.trim().is_empty() || first.is_empty() || model.chars().any(char::is_control) {
        let shown = quoted(&text.written);
        return Err(Invalid::new(format!(
            "{shown} is no target; write \"provider/model\""
        )));
    }
    match known
        .providers
        .iter()
        .find(|provider| provider.name == first)
    {
        Some(provider) => Ok(Some(TargetName {
            provider: provider.clone(),
            model: model.to_owned(),
        })),
        None if known.written.contains(&first) => Ok(None),
        None => Err(stranger(text, known.providers)),
    }
}

/// A target whose provider is not there. What is shown is what was written: a
/// variable may hold anything.
fn stranger(text: &Text, providers: &[Arc<Provider>]) -> Invalid {
    let shown = quoted(&text.written);
    let (first, model) = text.written.split_once('/').unwrap_or(("NAME", "MODEL"));
    let names = providers.iter().map(|provider| provider.name.as_str());
    Invalid::new(match nearest(first, names.clone()) {
        Some(near) => format!("{shown} names no provider; did you mean \"{near}/{model}\"?"),
        None => format!(
            "{shown} names no provider; add [providers.{first}], or use {}",
            read::one_of(names)
        ),
    })
}

fn balance(node: &Node) -> Read<Balance> {
    read::word(&[
        ("order", Balance::Order),
        ("latency", Balance::Latency),
        ("weighted", Balance::Weighted),
        ("least_pending", Balance::LeastPending),
        ("sticky", Balance::Sticky),
    ])(node)
}

/// `off`, `p95`, `p99.9` or a duration.
fn hedge(node: &Node) -> Read<Hedge> {
    let form = "\"off\", a percentile like \"p95\", or a duration like \"800ms\"";
    match &node.value {
        Value::Text(text) => read::as_written(
            text,
            |text| {
                Hedge::read(text).ok_or_else(|| {
                    Invalid::new(format!("{} is unknown; write {form}", quoted(text)))
                })
            },
            "a hedge",
            form,
        ),
        Value::Broken => Ok(None),
        other => Err(Invalid::new(format!("is {}; write {form}", other.kind()))),
    }
}

/// Tells of a model its provider no longer serves. It is not an error: the
/// provider may sit behind another name, or a proxy.
pub(super) fn warn_if_retired(
    section: &Section<'_>,
    key: &str,
    model: &str,
    providers: &[Arc<Provider>],
) {
    let (provider, model) = match model.split_once('/') {
        Some(pair) => pair,
        None => (family(model).unwrap_or_default(), model),
    };
    let is_there = providers.iter().any(|known| known.name == provider);
    if let (true, Some(gone)) = (is_there, retired(provider, model)) {
        let mut message = told(gone);
        if section.node(key).is_none() {
            message.push_str(", and this is the default: set the key");
        }
        section.notice(key, message);
    }
}

fn warn_of(section: &Section<'_>, node: &Node, key: &str, provider: &str, model: &str) {
    if let Some(gone) = retired(provider, model) {
        section
            .report
            .notice(&node.place, join(&section.path, key), told(gone));
    }
}

fn told(gone: &crate::provider::presets::Retired) -> String {
    format!(
        "{} was retired by {} on {}; {} is named as its replacement",
        gone.model, gone.provider, gone.since, gone.instead
    )
}
