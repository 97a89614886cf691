//! `nowait explain MODEL`: the plan for a request, in words.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use super::{ConfigArgs, sharing};
use crate::config::{self, Balance, Config, Environment, OnLoss};
use crate::dialect::Format;
use crate::error::Error;
use crate::gateway::attempt::race;
use crate::gateway::plan::{Plan, Routes, Way};
use crate::gateway::{status, traffic};
use crate::provider::Provider;
use crate::server::assemble;
use crate::upstream::limit::Rule;

/// What `explain` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  nowait explain gpt-4o --config nowait.toml")]
pub(super) struct Args {
    /// The model, as a caller names it
    model: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints the plan. Nothing is connected to.
pub(super) fn run(args: &Args) -> ExitCode {
    let config = match Config::load(
        &config::Args::from(&args.config),
        &Environment::of_process(),
    ) {
        Ok(config) => config,
        Err(problems) => {
            let _ = writeln!(io::stderr(), "the configuration can't be used:\n{problems}");
            return ExitCode::FAILURE;
        }
    };
    let routes = Routes::new(&config, assemble::unconnected(&config));
    match routes.plan(&args.model) {
        Ok(plan) => {
            let _ = io::stdout().write_all(told(&plan, &config).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", unknown(&error));
            ExitCode::FAILURE
        }
    }
}

fn unknown(error: &Error) -> String {
    format!(
        "a caller would get {} {}: {}",
        error.kind().status().as_u16(),
        error.kind().code(),
        error.message()
    )
}

/// The plan in words.
fn told(plan: &Plan, config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, plan, config);
    text
}

fn write(text: &mut String, plan: &Plan, config: &Config) -> std::fmt::Result {
    writeln!(text, "{}: {}", plan.name, plan.why)?;
    for (index, target) in plan.targets.iter().enumerate() {
        let provider = &target.callee.provider;
        let endpoints: Vec<_> = Format::ALL
            .into_iter()
            .filter_map(|format| {
                let mut all = plan.candidates(format).ok()?.all.iter();
                let candidate = all.find(|it| Arc::ptr_eq(&it.target, target))?;
                Some(match candidate.way {
                    Way::AsItIs => format.as_str().to_owned(),
                    Way::Through(wire) => format!("{} (as {})", format.as_str(), wire.as_str()),
                })
            })
            .collect();
        writeln!(
            text,
            "  {}. {} as `{}`",
            index + 1,
            provider.name,
            target.model
        )?;
        writeln!(
            text,
            "     at        {} ({} dialect; {})",
            provider.base,
            provider.dialect.as_str(),
            provider.found
        )?;
        writeln!(
            text,
            "     key       {}",
            match (&provider.key, target.callee.key) {
                (Some(_), 1) if target.callee.others.is_empty() => "the provider's own".to_owned(),
                (Some(_), number) => format!("the provider's own, number {number}"),
                (None, _) => "the caller's, passed through".to_owned(),
            }
        )?;
        writeln!(
            text,
            "     shares    among {}",
            sharing::among(config.cache.scope, provider.key.is_some())
        )?;
        writeln!(
            text,
            "     answers   {}",
            if endpoints.is_empty() {
                "nothing: no endpoint speaks its dialect, or its model is not the first one's"
                    .to_owned()
            } else {
                endpoints.join(", ")
            }
        )?;
        for quirk in provider.quirks.each() {
            writeln!(text, "     quirk     {quirk}")?;
        }
        writeln!(text, "     limit     {}", limit(provider))?;
        let pool = &provider.pool;
        writeln!(
            text,
            "     pool      {} warm, at most {} connections, {} streams on an HTTP/2 one, idle for {:?}",
            pool.warm, pool.max_connections, pool.max_streams_per_connection, pool.idle_timeout
        )?;
    }
    match plan.plain_candidates() {
        Ok(candidates) => {
            let told: Vec<_> = candidates
                .all
                .iter()
                .map(|it| format!("{} in {}", it.target.full_name, it.format.as_str()))
                .collect();
            writeln!(text, "  /generate    asks {}", told.join(", "))?;
        }
        Err(error) => writeln!(text, "  /generate    {}", error.message())?,
    }
    let t = plan.timeouts;
    writeln!(
        text,
        "  timeouts     connect {:?}, first token {:?} (streams), idle {:?}, total {:?}",
        t.connect, t.first_token, t.idle, t.total
    )?;
    match plan.share {
        Some(share) => writeln!(
            text,
            "  sharing      {}, as the model says, /generate too",
            sharing::told(share)
        )?,
        None => writeln!(
            text,
            "  sharing      {}, as [cache] says; /generate: {}",
            sharing::told(config.cache.share),
            sharing::word(config.generate.share)
        )?,
    }
    writeln!(text, "  answers      {}", sharing::kept(&config.cache))?;
    let model = config.models.get(&plan.name);
    if model.is_some_and(|model| model.prompt_cache) {
        writeln!(
            text,
            "  prompt cache calls translated for Anthropic mark tools, instructions and the conversation so far"
        )?;
    }
    writeln!(
        text,
        "  embeddings   {}",
        match config.batch.embeddings {
            true => "calls under way at once travel as one, and vectors are kept one by one",
            false => "each call by itself",
        }
    )?;
    writeln!(
        text,
        "  losses       {}",
        match plan.on_loss {
            OnLoss::Report =>
                "what a target of another dialect can't be told is left out and named in x-nowait-dropped",
            OnLoss::Reject =>
                "a target of another dialect that can't be told all of a call is not asked; where no other is left, 400",
        }
    )?;
    writeln!(text, "  balance      {}", balance(plan))?;
    write_tail(text, plan, config)
}

/// What is done against failures and stragglers.
fn write_tail(text: &mut String, plan: &Plan, config: &Config) -> std::fmt::Result {
    let (retry, hedge) = (&config.retry, &config.hedge);
    writeln!(
        text,
        "  retries      at most {} calls upstream for one call (x-nowait-retries says otherwise); extra ones are at most {:.0} % \
         of the calls to an upstream in 10 s, but always {}",
        retry.attempts,
        retry.budget * 100.0,
        retry.floor
    )?;
    writeln!(
        text,
        "               no connection, a reset, no first token in time: elsewhere at once; 408, 409, 429, 5xx: another target \
         at once, else the same after what Retry-After says, up to a minute, or a back-off; other refusals: {}",
        match config
            .models
            .get(&plan.name)
            .map(|model| &model.fallback_on[..])
        {
            None | Some([]) => "never".to_owned(),
            Some(on) => format!("another target after {}", fallbacks(on)),
        }
    )?;
    let first_token = plan.timeouts.first_token;
    writeln!(
        text,
        "               an unstreamed call that says nothing for {} times as long as nearly all take, and for {first_token:?}: \
         another beside it",
        race::OVERDUE
    )?;
    writeln!(
        text,
        "  hedging      {}",
        match plan.hedge {
            config::Hedge::Off => "off, unless x-nowait-hedge asks for it".to_owned(),
            when => format!(
                "a second attempt when no content has come by {} (never before {:?} or, where it is measured, after {:?}), \
                 for at most {:.0} % of the calls; not for calls with side effects, nor while the target is slow as a whole",
                match when {
                    config::Hedge::After(wait) => config::units::show_duration(wait),
                    when => format!("the {} of recent times", status::hedge(when)),
                },
                hedge.min,
                hedge.max,
                hedge.budget * 100.0
            ),
        }
    )
}

fn fallbacks(on: &[config::FallbackOn]) -> String {
    let words: Vec<_> = on
        .iter()
        .map(|on| match on {
            config::FallbackOn::ContextLength => "context_length".to_owned(),
            config::FallbackOn::ContentPolicy => "content_policy".to_owned(),
            config::FallbackOn::Status(status) => status.to_string(),
        })
        .collect();
    words.join(", ")
}

/// Who of several is asked first.
fn balance(plan: &Plan) -> String {
    if plan.targets.len() == 1 {
        return "none: there is one target".to_owned();
    }
    let shares = || {
        let shares = plan.shares().map(|share| format!("{:.0} %", share * 100.0));
        shares.collect::<Vec<_>>().join(", ")
    };
    let how = match plan.balance {
        Balance::Order => "the first that is well, in the order above",
        Balance::Latency => "of two drawn by lot the one that is quicker and less busy",
        Balance::Weighted => &format!("by weight, {}", shares()),
        Balance::LeastPending => "the one with the fewest calls under way",
        Balance::Sticky => {
            "the same for the same session (x-session-id), else for the same beginning of the prompt, unless it is busy"
        }
    };
    format!(
        "{}: {how}; targets that fail are left alone until they are well",
        status::balance(plan.balance)
    )
}

/// How many calls a provider gets at once.
fn limit(provider: &Provider) -> String {
    let queue = provider.queue;
    match traffic::rule(provider) {
        Rule::Fixed(calls) => format!("{calls} calls at once, {queue} wait for their turn"),
        Rule::Aimd => format!(
            "none, until too many calls are refused (429, 529); then {queue} wait for their turn"
        ),
        Rule::Gradient => {
            format!("found out from its times to first token; {queue} wait for their turn")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_about_failures_and_stragglers_is_told() {
        let text = "[providers.openai]\napi_keys = [\"sk-one\", \"sk-two\"]\nlimit = 9\nqueue = 5\n\
                    [providers.claude]\ndialect = \"anthropic\"\napi_key = \"sk-three\"\n\
                    base_url = \"http://10.0.0.5\"\n\
                    [models.fast]\ntargets = [\"openai/gpt-4.1\", \"claude/c\"]\nbalance = \"latency\"\n\
                    hedge = \"p95\"\nprompt_cache = \"auto\"\nfallback_on = [\"context_length\", 404]\n\
                    [retry]\nattempts = 4\n";
        let config = Config::parse(text, "nowait.toml", &Environment::default()).expect("good");
        let routes = Routes::new(&config, assemble::unconnected(&config));
        let plan = routes.plan("fast").expect("it is there");
        let told = told(&plan, &config);
        for words in [
            "1. openai as `gpt-4.1`",
            "the provider's own, number 1",
            "2. openai as `gpt-4.1`",
            "the provider's own, number 2",
            "3. claude as `c`",
            "9 calls at once, 5 wait for their turn",
            "found out from its times to first token",
            "latency: of two drawn by lot the one that is quicker",
            "at most 4 calls upstream for one call",
            "at most 20 % of the calls to an upstream in 10 s, but always 10",
            "another target after context_length, 404",
            "mark tools, instructions and the conversation so far",
            "quirk     the limit goes in `max_completion_tokens`",
            "says nothing for 3 times as long as nearly all take, and for 120s: another beside it",
            "by the p95 of recent times (never before 20ms or, where it is measured, after 10s), for at most 5 % of the calls",
        ] {
            assert!(told.contains(words), "{words:?} is not in:\n{told}");
        }
        assert!(!told.contains("sk-"), "{told}");
    }

    /// Two keys of one provider have its weight between them.
    #[test]
    fn weights_are_told_as_shares() {
        let text = "[providers.openai]\napi_keys = [\"sk-one\", \"sk-two\"]\n\
                    [providers.other]\ndialect = \"openai\"\nbase_url = \"http://10.0.0.5\"\n\
                    [models.fast]\ntargets = [\"openai/gpt-4.1\", \"other/m\"]\n\
                    balance = \"weighted\"\nweights = [1, 3]\n";
        let config = Config::parse(text, "nowait.toml", &Environment::default()).expect("good");
        let routes = Routes::new(&config, assemble::unconnected(&config));
        let plan = routes.plan("fast").expect("it is there");
        let told = told(&plan, &config);
        assert!(told.contains("by weight, 12 %, 12 %, 75 %"), "{told}");
    }
}
