//! Writes a Gemini call.

mod extras;
mod thinking;
mod tools;
mod turns;

use std::borrow::Cow;

use super::model::Model;
use crate::dialect::ir::{Form, Given, Json, Request, Setting, Settings, Text, Tier};
use crate::dialect::members::{Members, ObjectWriter, inside_quotes};
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;
use extras::Extras;

/// The most stop texts, and the most answers, that the API takes.
const MOST_STOPS: usize = 5;
const MOST_ANSWERS: u64 = 8;

/// Writes `request` for `target`.
pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let method = match request.stream {
        true => "streamGenerateContent?alt=sse",
        false => "generateContent",
    };
    out.path = path(target.model, method);
    let model = Model::of(target.model);
    let mut body = std::mem::take(&mut out.body);
    let mut call = ObjectWriter::begin(&mut body);
    turns::write(&mut call, request, model, out)?;
    tools::write(&mut call, request, out);
    let extras = Extras::of(request, &mut out.losses);
    settings(&mut call, request, model, &extras, out)?;
    extras.write(&mut call);
    call.end();
    out.body = body;
    Ok(())
}

/// What kind of model it is, which a name may say (`tunedModels/…`), and its
/// name among those.
pub(super) fn kind_and_name(model: &str) -> (&str, &str) {
    let kinds = ["models", "tunedModels"];
    let said = model.split_once('/');
    said.filter(|(kind, _)| kinds.contains(kind))
        .unwrap_or(("models", model))
}

/// The path of a model's `method`.
pub(super) fn path(model: &str, method: &str) -> Cow<'static, str> {
    let (kind, name) = kind_and_name(model);
    let mut path = format!("/v1beta/{kind}/");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            // A name must not lead elsewhere.
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push(':');
    path.push_str(method);
    path.into()
}

fn settings(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    model: Model,
    extras: &Extras<'_>,
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
    lose(&[logit_bias, audio], out);
    lose(&[verbosity, user, cache_key, cache_retention], out);
    lose(&[parallel_tools], out);
    tools::choose(call, request, tool_choice, out);
    let mut written = Vec::new();
    let mut config = ObjectWriter::begin(&mut written);
    config
        .json_if("temperature", value(temperature))
        .json_if("topP", value(top_p))
        .json_if("topK", value(top_k));
    match seed {
        Some(seed) if seed.value.as_str().parse::<i32>().is_ok() => {
            config.raw("seed", seed.value.as_str());
        }
        // It has 32 bits here.
        seed => lose(&[seed], out),
    }
    config
        .json_if("frequencyPenalty", value(frequency_penalty))
        .json_if("presencePenalty", value(presence_penalty));
    if let Some(limit) = max_tokens {
        config.count("maxOutputTokens", limit.value);
    }
    write_stop(&mut config, stop, out);
    if let Some(choices) = choices {
        if choices.value > MOST_ANSWERS {
            return Err(too_many(choices));
        }
        config.count("candidateCount", choices.value);
    }
    if let Some(logprobs) = logprobs {
        config.flag("responseLogprobs", true);
        if logprobs.value > 0 {
            config.count("logprobs", logprobs.value);
        }
    }
    match form {
        Some(form) if request.tools.is_empty() || model.has_forms_beside_tools() => {
            write_form(&mut config, &form.value);
        }
        form => lose(&[form], out),
    }
    match extras.thinking {
        Some(thinking) => drop(config.raw("thinkingConfig", thinking)),
        None => thinking::write(&mut config, reasoning, model, &mut out.losses),
    }
    write_modalities(&mut config, modalities, out);
    config.end();
    if written != b"{}" {
        call.key("generationConfig").extend_from_slice(&written);
    }
    write_tier(call, service_tier, out);
    if let Some(store) = store {
        call.flag("store", store.value);
    }
    match metadata {
        Some(labels) if are_labels(&labels.value) => {
            call.raw("labels", labels.value.as_str());
        }
        metadata => lose(&[metadata], out),
    }
    Ok(())
}

fn value<T>(given: &Setting<T>) -> Option<&T> {
    given.as_ref().map(|given| &given.value)
}

/// What the format has no place for.
fn lose<T>(settings: &[&Setting<T>], out: &mut Outgoing) {
    let given = settings.iter().filter_map(|setting| setting.as_ref());
    given.for_each(|given| out.losses.dropped(given.path));
}

fn too_many(choices: &Given<u64>) -> Error {
    let Given { value, path } = choices;
    Error::invalid(format!(
        "translating the request: {path} is {value}, but this provider gives at most {MOST_ANSWERS} answers per call; ask for fewer, or call several times"
    ))
    .param(*path)
}

fn write_stop(config: &mut ObjectWriter<'_>, stop: &Setting<Vec<Text<'_>>>, out: &mut Outgoing) {
    let Some(stop) = stop else { return };
    if stop.value.len() > MOST_STOPS {
        let how = "was cut to its first five texts, the most that this provider takes";
        out.losses.changed(stop.path, how);
    }
    let mut list = config.list("stopSequences");
    let texts = stop.value.iter().take(MOST_STOPS);
    texts.for_each(|text| text.write(list.next()));
    list.end();
}

/// The schema goes as it is: the API passes over what it doesn't know of it.
fn write_form(config: &mut ObjectWriter<'_>, form: &Form<'_>) {
    config.text("responseMimeType", "application/json");
    if let Form::Schema { schema, .. } = form {
        config.raw("responseJsonSchema", schema.as_str());
    }
}

/// Text and images; sound is another API's voices and formats.
fn write_modalities(
    config: &mut ObjectWriter<'_>,
    modalities: &Setting<Json<'_>>,
    out: &mut Outgoing,
) {
    let Some(given) = modalities else { return };
    let words = crate::dialect::json::elements(given.value.as_str()).unwrap_or_default();
    let words: Option<Vec<&str>> = words
        .into_iter()
        .map(|word| match inside_quotes(word) {
            Some("text") => Some("TEXT"),
            Some("image") => Some("IMAGE"),
            _ => None,
        })
        .collect();
    match words {
        None => out.losses.dropped(given.path),
        Some(words) => {
            let mut list = config.list("responseModalities");
            for word in words {
                Text::plain(word).write(list.next());
            }
            list.end();
        }
    }
}

fn write_tier(call: &mut ObjectWriter<'_>, tier: &Setting<Tier<'_>>, out: &mut Outgoing) {
    let Some(given) = tier else { return };
    match &given.value {
        // What is so where nothing is said.
        Tier::Auto => {}
        Tier::Standard => drop(call.text("serviceTier", "standard")),
        Tier::Other(tier) if tier.is("flex") || tier.is("priority") => {
            call.said("serviceTier", tier);
        }
        Tier::Other(_) => out.losses.dropped(given.path),
    }
}

/// Whether notes have the form of labels, by which calls are sorted on bills
/// (cloud.google.com/resource-manager/docs/labels-overview).
fn are_labels(notes: &Json<'_>) -> bool {
    let fits = |text: &str| {
        text.len() <= 63
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    let notes = Members::of(notes.as_str()).unwrap_or_default();
    notes.iter().count() <= 64
        && notes.iter().all(|(key, raw)| {
            key.starts_with(|c: char| c.is_ascii_lowercase())
                && fits(key)
                && inside_quotes(raw).is_some_and(fits)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_stays_in_its_place() {
        let rows = [
            ("gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:m"),
            ("models/gemini-3-pro", "/v1beta/models/gemini-3-pro:m"),
            ("tunedModels/a-1", "/v1beta/tunedModels/a-1:m"),
            ("../x?y=1#z", "/v1beta/models/..%2Fx%3Fy%3D1%23z:m"),
        ];
        for (model, expected) in rows {
            assert_eq!(path(model, "m"), expected);
        }
    }

    #[test]
    fn notes_that_are_no_labels_are_told_apart() {
        let rows = [
            (r#"{"team":"a_b-1","x":""}"#, true),
            (r#"{"Team":"a"}"#, false),
            (r#"{"team":"A user"}"#, false),
            (r#"{"team":1}"#, false),
            (r#"{"1":"a"}"#, false),
        ];
        for (notes, expected) in rows {
            assert_eq!(
                are_labels(&Json::checked(notes).unwrap()),
                expected,
                "{notes}"
            );
        }
    }
}
