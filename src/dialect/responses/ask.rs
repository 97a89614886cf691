//! Reads a Responses call.

mod held;
mod tools;

use super::items::{self, Item};
use crate::dialect::ir::{
    At, Content, Effort, Form, Given, Json, Part, Reasoning, Request, Role, Seal, Setting,
    Settings, Text, Tier, Turn,
};
use crate::dialect::reading::{Element, Elements, Reading};
use crate::dialect::seals;
use crate::error::Error;

type Unknown<'a> = Vec<(String, Json<'a>)>;

pub(super) fn decode(mut body: Reading<'_>) -> Result<Request<'_>, Error> {
    held::refuse(&mut body)?;
    let mut request = Request {
        model: body.text("model")?.unwrap_or_default(),
        stream: body.flag("stream")?.unwrap_or(false),
        include_usage: true,
        ..Request::default()
    };
    if let Some(mut options) = body.open("stream_options")? {
        // Whether deltas are padded is no part of what is asked.
        options.ignore(&["include_obfuscation"]);
        options.leave(&mut request.unknown);
    }
    if let Some(text) = body.text("instructions")? {
        say(&mut request, Role::System, "instructions", text);
    }
    input(&mut body, &mut request)?;
    let tool_choice = tools::decode(&mut body, &mut request)?;
    request.settings = Settings {
        tool_choice,
        ..settings(&mut body, &mut request.unknown)?
    };
    body.leave(&mut request.unknown);
    Ok(request)
}

/// Adds what the field `field` says.
fn say<'a>(request: &mut Request<'a>, role: Role, field: &'static str, text: Text<'a>) {
    let at = At::field(field);
    request.say(turn(role, vec![Content::text(text)], at));
}

fn turn(role: Role, list: Vec<Content<'_>>, at: At) -> Turn<'_> {
    let part = |content| Part {
        content,
        cache: None,
        at,
    };
    Turn {
        role,
        name: None,
        parts: list.into_iter().map(part).collect(),
        at,
    }
}

fn input<'a>(body: &mut Reading<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    let wanted = "a text or an array of items";
    let Some(raw) = body.raw("input") else {
        return Err(body.wrong("input", wanted));
    };
    if let Some(text) = Text::of_json(raw) {
        say(request, Role::User, "input", text);
        return Ok(());
    }
    let Some(list) = Elements::of(raw) else {
        return Err(body.wrong("input", wanted));
    };
    // Marks on calls, which come as items of their own.
    let mut marks = Vec::new();
    for (index, element) in list.enumerate() {
        item(element, At::element("input", index), request, &mut marks)?;
    }
    let parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    seals::put(marks, parts);
    Ok(())
}

fn item<'a>(
    element: Element<'a>,
    at: At,
    request: &mut Request<'a>,
    marks: &mut Vec<Seal<'a>>,
) -> Result<(), Error> {
    held::refuse_item(&element, at)?;
    let json = element.json;
    let reading = Reading::of(element, at)?;
    match items::one(reading, json, at, &mut request.unknown)? {
        Item::Message(role, mut parts) => {
            parts.iter_mut().for_each(forget_notes);
            request.say(Turn {
                role,
                name: None,
                parts,
                at,
            });
        }
        Item::Done(list) => request.say(turn(Role::Assistant, list, at)),
        Item::Result(result) => {
            request.say(turn(Role::Tool, vec![Content::Result(result)], at));
        }
        Item::Mark(seal) => marks.push(seal),
    }
    Ok(())
}

/// What an earlier answer rested on is nothing that is asked.
fn forget_notes(part: &mut Part<'_>) {
    if let Content::Text {
        citations,
        logprobs,
        ..
    } = &mut part.content
    {
        citations.clear();
        *logprobs = None;
    }
}

fn settings<'a>(body: &mut Reading<'a>, unknown: &mut Unknown<'a>) -> Result<Settings<'a>, Error> {
    let (form, verbosity) = text_options(body, unknown)?;
    let user = match text(body, "safety_identifier")? {
        None => text(body, "user")?,
        user => user,
    };
    body.ignore(&["user"]);
    if body.word("truncation")?.as_deref() == Some("auto") {
        unknown.push(("truncation".to_owned(), auto()));
    }
    Ok(Settings {
        max_tokens: body
            .count("max_output_tokens")?
            .map(|limit| Given::new("max_output_tokens", limit)),
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        logprobs: logprobs(body, unknown)?,
        parallel_tools: body
            .flag("parallel_tool_calls")?
            .filter(|flag| !flag)
            .map(|flag| Given::new("parallel_tool_calls", flag)),
        form,
        reasoning: reasoning(body, unknown)?,
        verbosity,
        user,
        metadata: body
            .object("metadata")?
            .map(Json::scanned)
            .filter(|json| *json != Json::checked("{}").expect("an empty object is JSON"))
            .map(|json| Given::new("metadata", json)),
        service_tier: text(body, "service_tier")?
            .map(|given| Given::new(given.path, tier(given.value))),
        cache_key: text(body, "prompt_cache_key")?,
        cache_retention: text(body, "prompt_cache_retention")?,
        ..Settings::default()
    })
}

fn auto() -> Json<'static> {
    Json::checked("\"auto\"").expect("a text is JSON")
}

fn number<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Setting<Json<'a>>, Error> {
    Ok(body.number(key)?.map(|number| Given::new(key, number)))
}

fn text<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Setting<Text<'a>>, Error> {
    Ok(body.text(key)?.map(|text| Given::new(key, text)))
}

fn tier(tier: Text<'_>) -> Tier<'_> {
    match &*tier.resolved() {
        "auto" => Tier::Auto,
        "default" => Tier::Standard,
        _ => Tier::Other(tier.clone()),
    }
}

/// Probabilities are told where `include` asks for them, or where others are
/// asked for beside them. What else `include` asks for belongs to hosted
/// tools; marks on reasoning are always given.
fn logprobs<'a>(body: &mut Reading<'a>, unknown: &mut Unknown<'a>) -> Result<Setting<u64>, Error> {
    let others = body.count("top_logprobs")?.unwrap_or(0);
    let mut path = (others > 0).then_some("top_logprobs");
    for (index, json) in body.list("include")?.into_iter().enumerate() {
        match json {
            "\"message.output_text.logprobs\"" => path = path.or(Some("include")),
            "\"reasoning.encrypted_content\"" => {}
            _ => unknown.push((format!("include[{index}]"), Json::scanned(json))),
        }
    }
    Ok(path.map(|path| Given::new(path, others)))
}

type TextOptions<'a> = (Setting<Form<'a>>, Setting<Text<'a>>);

/// `text`: the form of the answer, and how much to say.
fn text_options<'a>(
    body: &mut Reading<'a>,
    unknown: &mut Unknown<'a>,
) -> Result<TextOptions<'a>, Error> {
    let Some(mut options) = body.open("text")? else {
        return Ok((None, None));
    };
    let verbosity = options.text("verbosity")?;
    let form = match options.open("format")? {
        None => None,
        Some(format) => form(format, unknown)?,
    };
    options.leave(unknown);
    Ok((
        form.map(|form| Given::new("text.format", form)),
        verbosity.map(|verbosity| Given::new("text.verbosity", verbosity)),
    ))
}

fn form<'a>(mut format: Reading<'a>, unknown: &mut Unknown<'a>) -> Result<Option<Form<'a>>, Error> {
    let form = match format.word("type")?.as_deref() {
        Some("text") => return Ok(None),
        Some("json_object") => Form::Object,
        Some("json_schema") => {
            let Some(schema) = format.object("schema")? else {
                return Err(format.wrong("schema", "an object"));
            };
            Form::Schema {
                name: format.text("name")?,
                description: format.text("description")?,
                schema: Json::scanned(schema),
                strict: format.flag("strict")?,
            }
        }
        _ => return Err(format.wrong("type", "\"text\", \"json_object\" or \"json_schema\"")),
    };
    format.leave(unknown);
    Ok(Some(form))
}

fn reasoning<'a>(
    body: &mut Reading<'a>,
    unknown: &mut Unknown<'a>,
) -> Result<Setting<Reasoning<'a>>, Error> {
    let Some(mut given) = body.open("reasoning")? else {
        return Ok(None);
    };
    let effort = match given.word("effort")? {
        None => None,
        Some(word) => match Effort::from_word(&word) {
            None => {
                let wanted = "one of none, minimal, low, medium, high, xhigh and max";
                return Err(given.wrong("effort", wanted));
            }
            effort => effort,
        },
    };
    let older = given.text("generate_summary")?;
    let reasoning = Reasoning {
        thinking: None,
        effort,
        summary: given.text("summary")?.or(older),
    };
    given.leave(unknown);
    let says = reasoning != Reasoning::default();
    Ok(says.then(|| Given::new("reasoning", reasoning)))
}
