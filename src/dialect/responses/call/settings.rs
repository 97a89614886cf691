//! Writes everything that has one value.

use crate::dialect::chat::{self, Model};
use crate::dialect::ir::{
    Effort, Form, Json, Reasoning, Request, Setting, Settings, Text, Tier, ToolChoice,
};
use crate::dialect::loss::Losses;
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;

/// The least limit that OpenAI takes.
const LEAST_TOKENS: u64 = 16;

pub(super) fn write(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let Settings {
        max_tokens,
        temperature,
        top_p,
        top_k,
        seed,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        stop,
        choices,
        logprobs,
        tool_choice,
        parallel_tools,
        form,
        reasoning,
        verbosity,
        user,
        metadata,
        service_tier,
        cache_key,
        cache_retention,
        modalities,
        audio,
        store,
    } = &request.settings;
    if let Some(choices) = choices {
        return Err(target.one_answer(choices));
    }
    let losses = &mut out.losses;
    lose(&[top_k, seed, frequency_penalty, presence_penalty], losses);
    lose(&[logit_bias, modalities, audio], losses);
    lose(&[stop], losses);
    limit(call, max_tokens, losses);
    let model = Model::of(target.model);
    let effort = chat::effort(reasoning, model, losses);
    write_reasoning(call, value(reasoning), model, effort);
    let refused = model.samples_its_way(effort.is_some_and(|effort| effort != Effort::None));
    sample(call, "temperature", temperature, refused, losses);
    sample(call, "top_p", top_p, refused, losses);
    let logprobs = logprobs.as_ref().filter(|given| {
        if refused {
            losses.dropped(given.path);
        }
        !refused
    });
    if let Some(others) = logprobs.map(|given| given.value).filter(|n| *n > 0) {
        call.count("top_logprobs", others);
    }
    write_include(call, is_sealed(model, effort), logprobs.is_some());
    choose(call, request, tool_choice, parallel_tools, losses);
    write_text(call, value(form), value(verbosity));
    call.said_if("user", value(user))
        .json_if("metadata", value(metadata))
        .said_if("prompt_cache_key", value(cache_key))
        .said_if("prompt_cache_retention", value(cache_retention));
    match value(service_tier) {
        None => {}
        Some(Tier::Auto) => drop(call.text("service_tier", "auto")),
        Some(Tier::Standard) => drop(call.text("service_tier", "default")),
        Some(Tier::Other(tier)) => drop(call.said("service_tier", tier)),
    }
    // Kept unless told not to, which no other format does.
    call.flag("store", store.is_some());
    Ok(())
}

/// What this format doesn't know.
fn lose<T>(settings: &[&Setting<T>], losses: &mut Losses) {
    let given = settings.iter().filter_map(|setting| setting.as_ref());
    given.for_each(|given| losses.dropped(given.path));
}

fn value<T>(given: &Setting<T>) -> Option<&T> {
    given.as_ref().map(|given| &given.value)
}

fn limit(call: &mut ObjectWriter<'_>, limit: &Setting<u64>, losses: &mut Losses) {
    let Some(given) = limit else { return };
    if given.value < LEAST_TOKENS {
        losses.changed(
            given.path,
            "was raised to 16, the least this provider takes",
        );
    }
    call.count("max_output_tokens", given.value.max(LEAST_TOKENS));
}

/// Writes a sampling parameter, unless the model refuses it.
fn sample(
    call: &mut ObjectWriter<'_>,
    name: &str,
    given: &Setting<Json<'_>>,
    refused: bool,
    losses: &mut Losses,
) {
    match given {
        // Which is what it is where nobody sets it.
        Some(given) if refused && given.value.as_f64() == Some(1.0) => {}
        Some(given) if refused => losses.dropped(given.path),
        given => drop(call.json_if(name, value(given))),
    }
}

/// Writes how hard to think and what to show of it, for models that know.
fn write_reasoning(
    call: &mut ObjectWriter<'_>,
    reasoning: Option<&Reasoning<'_>>,
    model: Model,
    effort: Option<Effort>,
) {
    // Hiding it is saying nothing.
    let summary = reasoning.and_then(|reasoning| reasoning.summary.as_ref());
    let summary = summary.filter(|word| model != Model::Plain && !word.is("none"));
    if effort.is_none() && summary.is_none() {
        return;
    }
    let mut reasoning = call.object("reasoning");
    if let Some(effort) = effort {
        reasoning.text("effort", effort.as_str());
    }
    reasoning.said_if("summary", summary);
    reasoning.end();
}

/// Whether the model's reasoning has marks to ask for. OpenAI's models that
/// don't reason refuse the wish; of others nobody knows unless they are told
/// to reason.
fn is_sealed(model: Model, effort: Option<Effort>) -> bool {
    match model {
        Model::Reasons | Model::MayReason => true,
        Model::Plain => false,
        Model::Unknown => effort.is_some_and(|effort| effort != Effort::None),
    }
}

fn write_include(call: &mut ObjectWriter<'_>, marks: bool, logprobs: bool) {
    let wishes = [
        (marks, &br#""reasoning.encrypted_content""#[..]),
        (logprobs, &br#""message.output_text.logprobs""#[..]),
    ];
    if !wishes.iter().any(|(is_wished, _)| *is_wished) {
        return;
    }
    let mut include = call.list("include");
    for (_, wish) in wishes.iter().filter(|(is_wished, _)| *is_wished) {
        include.next().extend_from_slice(wish);
    }
    include.end();
}

fn choose(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    choice: &Setting<ToolChoice<'_>>,
    parallel: &Setting<bool>,
    losses: &mut Losses,
) {
    if request.tools.is_empty() {
        // To use none of none is nothing.
        if let Some(given) = choice.as_ref().filter(|it| it.value != ToolChoice::None) {
            losses.dropped(given.path);
        }
        return;
    }
    if let Some(given) = choice {
        super::tools::write_choice(call, &given.value, request);
    }
    if let Some(given) = parallel {
        call.flag("parallel_tool_calls", given.value);
    }
}

fn write_text(call: &mut ObjectWriter<'_>, form: Option<&Form<'_>>, verbosity: Option<&Text<'_>>) {
    if form.is_none() && verbosity.is_none() {
        return;
    }
    let mut text = call.object("text");
    if let Some(form) = form {
        write_form(&mut text, form);
    }
    text.said_if("verbosity", verbosity);
    text.end();
}

fn write_form(text: &mut ObjectWriter<'_>, form: &Form<'_>) {
    let mut format = text.object("format");
    match form {
        Form::Object => drop(format.text("type", "json_object")),
        Form::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            format.text("type", "json_schema");
            match name {
                Some(name) => format.said("name", name),
                None => format.text("name", "answer"),
            };
            format
                .said_if("description", description.as_ref())
                .raw("schema", schema.as_str());
            if let Some(strict) = strict {
                format.flag("strict", *strict);
            }
        }
    }
    format.end();
}
