//! Writes a Gemini call.

mod extras;
mod thinking;
mod turns;

use std::borrow::Cow;

use super::model::Model;
use crate::dialect::ids;
use crate::dialect::ir::{
    Form, Given, Json, Request, Setting, Settings, Text, Tier, Tool, ToolChoice, ToolKind,
};
use crate::dialect::members::{ListWriter, Members, ObjectWriter, inside_quotes};
use crate::dialect::translate::{FREE_TEXT, Outgoing, Target};
use crate::error::Error;
use extras::Extras;

/// The longest name of a function; newer models take 128.
const LONGEST_NAME: usize = 64;

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
    write_tools(&mut call, request, out);
    let extras = Extras::of(request, &mut out.losses);
    settings(&mut call, request, model, &extras, out)?;
    extras.write(&mut call);
    call.end();
    out.body = body;
    Ok(())
}

/// The path of a model's `method`. A name may say what kind of model it is
/// (`tunedModels/…`).
pub(super) fn path(model: &str, method: &str) -> Cow<'static, str> {
    let kinds = ["models", "tunedModels"];
    let (kind, name) = model
        .split_once('/')
        .filter(|(kind, _)| kinds.contains(kind))
        .unwrap_or(("models", model));
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

/// A function's name as the API takes it: it begins with a letter or `_`.
fn function_name<'n>(name: &'n Text<'_>) -> Text<'n> {
    let first = name.as_escaped().bytes().next().unwrap_or(b'_');
    if first.is_ascii_alphabetic() || first == b'_' {
        return ids::fit(name, LONGEST_NAME);
    }
    // Which makes another name that begins with `_`.
    let other = Text::owned(&format!(".{}", name.resolved()));
    ids::fit(&other, LONGEST_NAME).into_owned()
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
    choose(call, request, tool_choice, out);
    let mut written = Vec::new();
    let mut config = ObjectWriter::begin(&mut written);
    config
        .json_if("temperature", value(temperature))
        .json_if("topP", value(top_p))
        .json_if("topK", value(top_k))
        .json_if("seed", value(seed))
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
    write_form(&mut config, value(form));
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
fn write_form(config: &mut ObjectWriter<'_>, form: Option<&Form<'_>>) {
    let Some(form) = form else { return };
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

/// Writes `toolConfig`. Calls fit their schema where one must be called, and
/// where strictness is asked for.
fn choose(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    choice: &Setting<ToolChoice<'_>>,
    out: &mut Outgoing,
) {
    let mut functions = request
        .tools
        .iter()
        .filter(|tool| is_function(tool))
        .peekable();
    if functions.peek().is_none() {
        // To use none of none is nothing.
        if let Some(given) = choice.as_ref().filter(|it| it.value != ToolChoice::None) {
            out.losses.dropped(given.path);
        }
        return;
    }
    let is_strict = functions.any(
        |tool| matches!(&tool.kind, ToolKind::Function { strict, .. } if *strict == Some(true)),
    );
    let (mode, name) = match value(choice) {
        None if !is_strict => return,
        None | Some(ToolChoice::Auto) if is_strict => ("VALIDATED", None),
        None | Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    let mut config = call.object("toolConfig");
    let mut calling = config.object("functionCallingConfig");
    calling.text("mode", mode);
    if let Some(name) = name {
        let mut names = calling.list("allowedFunctionNames");
        function_name(name).write(names.next());
        names.end();
    }
    calling.end();
    config.end();
}

fn is_function(tool: &Tool<'_>) -> bool {
    matches!(
        tool.kind,
        ToolKind::Function { .. } | ToolKind::Custom { .. }
    )
}

/// Functions, or a search of the web: models that do both want the search's
/// own parts back in later turns, for which callers have no place.
fn write_tools(call: &mut ObjectWriter<'_>, request: &Request<'_>, out: &mut Outgoing) {
    let has_functions = request.tools.iter().any(is_function);
    let mut functions = Vec::new();
    let mut list = ListWriter::begin(&mut functions);
    let mut searches = false;
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::WebSearch if !has_functions => searches = true,
            ToolKind::WebSearch | ToolKind::Hosted(_) => out.losses.dropped(tool.at),
            _ => write_function(&mut list, tool, out),
        }
    }
    list.end();
    if !has_functions && !searches {
        return;
    }
    let mut tools = call.list("tools");
    let mut tool = tools.object();
    match has_functions {
        true => tool
            .key("functionDeclarations")
            .extend_from_slice(&functions),
        false => drop(tool.raw("googleSearch", "{}")),
    }
    tool.end();
    tools.end();
}

fn write_function(list: &mut ListWriter<'_>, tool: &Tool<'_>, out: &mut Outgoing) {
    let (name, description, parameters) = match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            ..
        } => (name, description, parameters.as_ref().map(Json::as_str)),
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            if format.is_some() {
                out.losses.dropped(format_args!("{}.format", tool.at));
            }
            out.free_text_tools.push(name.resolved().into_owned());
            (name, description, Some(FREE_TEXT))
        }
        ToolKind::WebSearch | ToolKind::Hosted(_) => return,
    };
    let mut function = list.object();
    function
        .said("name", &out.named(name, function_name(name)))
        .said_if("description", description.as_ref());
    if let Some(parameters) = parameters {
        function.raw("parametersJsonSchema", parameters);
    }
    function.end();
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
    fn a_functions_name_begins_with_a_letter() {
        assert_eq!(
            function_name(&Text::plain("get_x-1")),
            Text::plain("get_x-1")
        );
        let renamed = function_name(&Text::plain("3d")).resolved().into_owned();
        assert!(renamed.starts_with("_3d_"), "{renamed}");
        let long = "1".repeat(80);
        assert_eq!(function_name(&Text::plain(&long)).resolved().len(), 64);
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
