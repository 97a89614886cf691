//! Reads a Messages call.

use super::blocks;
use crate::dialect::ir::{
    At, Effort, Form, Given, Json, Reasoning, Request, Role, Settings, Text, Thinking, Tier, Tool,
    ToolChoice, ToolKind, Turn,
};
use crate::dialect::reading::{Element, Reading, wrong};
use crate::error::Error;

pub(super) fn decode(body: &str) -> Result<Request<'_>, Error> {
    let mut body = Reading::body(body)?;
    let mut request = Request {
        model: body.text("model")?.unwrap_or_default(),
        stream: body.flag("stream")?.unwrap_or(false),
        include_usage: true,
        ..Request::default()
    };
    system(&mut body, &mut request)?;
    for (index, message) in body.each("messages")?.enumerate() {
        turns(message, index, &mut request)?;
    }
    for (index, json) in body.list("tools")?.into_iter().enumerate() {
        let at = At::element("tools", index);
        let tool = tool(Reading::of(json, at)?, at, &mut request.unknown)?;
        request.tools.push(tool);
    }
    settings(&mut body, &mut request)?;
    // Caching up to the end, as a mark on the last block says it.
    if let Some(mark) = blocks::cache_mark(&mut body)?
        && let Some(part) = request
            .turns
            .last_mut()
            .and_then(|turn| turn.parts.last_mut())
    {
        part.cache.get_or_insert(mark);
    }
    body.leave(&mut request.unknown);
    Ok(request)
}

fn system<'a>(body: &mut Reading<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    let Some(raw) = body.raw("system") else {
        return Ok(());
    };
    let parts = blocks::list(raw, At::field("system"), "system", &mut request.unknown)?;
    request.say(Turn {
        role: Role::System,
        name: None,
        parts,
        at: At::field("system"),
    });
    Ok(())
}

/// A message is one turn, or two where it has tool results and more: the
/// results are the first.
fn turns<'a>(json: Element<'a>, index: usize, request: &mut Request<'a>) -> Result<(), Error> {
    let at = At::element("messages", index);
    let mut message = Reading::of(json, at)?;
    let role = match message.word("role")?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(message.wrong("role", "\"user\" or \"assistant\"")),
    };
    let Some(content) = message.raw("content") else {
        return Err(message.wrong("content", "a text or an array of blocks"));
    };
    let parts = blocks::list(content, at, "content", &mut request.unknown)?;
    message.leave(&mut request.unknown);
    let (results, parts) = parts.into_iter().partition(blocks::is_result);
    for (role, parts) in [(Role::Tool, results), (role, parts)] {
        request.say(Turn {
            role,
            name: None,
            parts,
            at,
        });
    }
    Ok(())
}

fn tool<'a>(
    mut tool: Reading<'a>,
    at: At,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Tool<'a>, Error> {
    let kind = tool.text("type")?;
    let word = kind.as_ref().map(|kind| kind.resolved().into_owned());
    let cache = blocks::cache_mark(&mut tool)?;
    let kind = match (word.as_deref(), kind) {
        (None | Some("custom"), _) => {
            let name = tool.need_text("name")?;
            let function = ToolKind::Function {
                name,
                description: tool.text("description")?,
                parameters: tool.object("input_schema")?.map(Json::scanned),
                strict: tool.flag("strict")?,
            };
            tool.leave(unknown);
            function
        }
        (Some(word), _) if word.starts_with("web_search_2") => {
            tool.ignore(&["name"]);
            tool.leave(unknown);
            ToolKind::WebSearch
        }
        // Its options are lost with it.
        (_, kind) => ToolKind::Hosted(kind.unwrap_or_default()),
    };
    Ok(Tool { kind, cache, at })
}

fn settings<'a>(body: &mut Reading<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    let stop = body.texts("stop_sequences")?;
    let (tool_choice, parallel_tools) = tool_choice(body)?;
    let (output_effort, output_form) = output(body, &mut request.unknown)?;
    let old_form = form(body.open("output_format")?, &mut request.unknown)?;
    let user = match body.open("metadata")? {
        None => None,
        Some(mut metadata) => {
            let user = metadata.text("user_id")?;
            metadata.leave(&mut request.unknown);
            user.map(|user| Given::new("metadata.user_id", user))
        }
    };
    request.settings = Settings {
        max_tokens: body
            .count("max_tokens")?
            .map(|n| Given::new("max_tokens", n)),
        temperature: body
            .number("temperature")?
            .map(|n| Given::new("temperature", n)),
        top_p: body.number("top_p")?.map(|n| Given::new("top_p", n)),
        top_k: body.number("top_k")?.map(|n| Given::new("top_k", n)),
        stop: (!stop.is_empty()).then(|| Given::new("stop_sequences", stop)),
        tool_choice,
        parallel_tools,
        form: output_form
            .map(|form| Given::new("output_config.format", form))
            .or(old_form.map(|form| Given::new("output_format", form))),
        reasoning: reasoning(body, output_effort, &mut request.unknown)?,
        user,
        service_tier: service_tier(body)?,
        ..Settings::default()
    };
    Ok(())
}

type Chosen<'a> = (Option<Given<ToolChoice<'a>>>, Option<Given<bool>>);

fn tool_choice<'a>(body: &mut Reading<'a>) -> Result<Chosen<'a>, Error> {
    let Some(mut choice) = body.open("tool_choice")? else {
        return Ok((None, None));
    };
    let alone = choice.flag("disable_parallel_tool_use")?.unwrap_or(false);
    let chosen = match choice.word("type")?.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => ToolChoice::Named(choice.need_text("name")?),
        _ => return Err(choice.wrong("type", "\"auto\", \"any\", \"tool\" or \"none\"")),
    };
    let parallel = alone.then(|| Given::new("tool_choice.disable_parallel_tool_use", false));
    Ok((Some(Given::new("tool_choice", chosen)), parallel))
}

type Output<'a> = (Option<Effort>, Option<Form<'a>>);

fn output<'a>(
    body: &mut Reading<'a>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Output<'a>, Error> {
    let Some(mut output) = body.open("output_config")? else {
        return Ok((None, None));
    };
    let effort = match output.word("effort")? {
        None => None,
        Some(word) => match Effort::from_word(&word) {
            None => return Err(output.wrong("effort", "one of low, medium, high, xhigh and max")),
            effort => effort,
        },
    };
    let form = form(output.open("format")?, unknown)?;
    output.leave(unknown);
    Ok((effort, form))
}

fn form<'a>(
    format: Option<Reading<'a>>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Option<Form<'a>>, Error> {
    let Some(mut format) = format else {
        return Ok(None);
    };
    if format.word("type")?.as_deref() != Some("json_schema") {
        return Err(format.wrong("type", "\"json_schema\""));
    }
    let Some(schema) = format.object("schema")? else {
        return Err(format.wrong("schema", "an object"));
    };
    format.leave(unknown);
    Ok(Some(Form::Schema {
        name: None,
        description: None,
        schema: Json::scanned(schema),
        strict: Some(true),
    }))
}

fn reasoning<'a>(
    body: &mut Reading<'a>,
    effort: Option<Effort>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Option<Given<Reasoning<'a>>>, Error> {
    let mut reasoning = Reasoning {
        effort,
        ..Reasoning::default()
    };
    let Some(mut thinking) = body.open("thinking")? else {
        return Ok(effort.map(|_| Given::new("output_config.effort", reasoning)));
    };
    reasoning.thinking = Some(match thinking.word("type")?.as_deref() {
        Some("disabled") => Thinking::Off,
        Some("adaptive") => Thinking::Auto,
        Some("enabled") => match thinking.count("budget_tokens")? {
            Some(budget) => Thinking::Budget(budget),
            None => return Err(thinking.wrong("budget_tokens", "a whole number")),
        },
        _ => return Err(thinking.wrong("type", "\"enabled\", \"adaptive\" or \"disabled\"")),
    });
    reasoning.summary = match thinking.word("display")?.as_deref() {
        Some("omitted") => Some(Text::plain("none")),
        Some("summarized") => Some(Text::plain("auto")),
        _ => None,
    };
    thinking.leave(unknown);
    Ok(Some(Given::new("thinking", reasoning)))
}

fn service_tier<'a>(body: &mut Reading<'a>) -> Result<Option<Given<Tier<'a>>>, Error> {
    let Some(tier) = body.text("service_tier")? else {
        return Ok(None);
    };
    let tier = match &*tier.resolved() {
        "auto" => Tier::Auto,
        "standard_only" => Tier::Standard,
        _ => {
            return Err(wrong("service_tier", "\"auto\" or \"standard_only\""));
        }
    };
    Ok(Some(Given::new("service_tier", tier)))
}
