//! Reads a chat call.

use super::{parts, said};
use crate::dialect::ir::{
    At, Content, Effort, Form, Given, Json, Part, Reasoning, Request, Role, Settings, Text,
    Thinking, Tier, Tool, ToolChoice, ToolKind, ToolResult, Turn,
};
use crate::dialect::members::{inside_quotes, is_object};
use crate::dialect::reading::{Element, Path, Reading};
use crate::error::Error;

pub(super) fn decode(body: &str) -> Result<Request<'_>, Error> {
    let mut body = Reading::body(body)?;
    let mut request = Request {
        model: body.text("model")?.unwrap_or_default(),
        stream: body.flag("stream")?.unwrap_or(false),
        ..Request::default()
    };
    if let Some(mut options) = body.open("stream_options")? {
        request.include_usage = options.flag("include_usage")?.unwrap_or(false);
        // Whether deltas are padded is no part of what is asked.
        options.ignore(&["include_obfuscation"]);
        options.leave(&mut request.unknown);
    }
    for (index, message) in body.each("messages")?.enumerate() {
        turn(message, index, &mut request)?;
    }
    tools(&mut body, &mut request)?;
    settings(&mut body, &mut request)?;
    body.leave(&mut request.unknown);
    Ok(request)
}

fn turn<'a>(json: Element<'a>, index: usize, request: &mut Request<'a>) -> Result<(), Error> {
    let at = At::element("messages", index);
    let mut message = Reading::of(json, at)?;
    let role = match message.word("role")?.as_deref() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::Tool,
        _ => {
            let wanted = "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"";
            return Err(message.wrong("role", wanted));
        }
    };
    let mut name = message.text("name")?;
    // A mark on the message is one on its last part.
    let mark = parts::cache_mark(&mut message)?;
    let mut list = match role {
        Role::Tool => vec![result(&mut message, name.take(), at, &mut request.unknown)?],
        Role::Assistant => said::parts(&mut message, at, &mut request.unknown)?,
        Role::System | Role::Developer | Role::User => {
            let Some(content) = message.raw("content") else {
                return Err(message.wrong("content", "a text or an array of parts"));
            };
            parts::list(content, at, &mut request.unknown)?
        }
    };
    if let (Some(mark), Some(last)) = (mark, list.last_mut()) {
        last.cache.get_or_insert(mark);
    }
    message.leave(&mut request.unknown);
    request.say(Turn {
        role,
        name,
        parts: list,
        at,
    });
    Ok(())
}

fn result<'a>(
    message: &mut Reading<'a>,
    name: Option<Text<'a>>,
    at: At,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Part<'a>, Error> {
    let call = match (message.text("tool_call_id")?, &name) {
        (Some(id), _) => id,
        // The older form names the function instead.
        (None, Some(name)) => said::id_of_function(name),
        (None, None) => return Err(message.wrong("tool_call_id", "a text")),
    };
    let parts = match message.raw("content") {
        Some(content) => parts::list(content, at, unknown)?,
        None => Vec::new(),
    };
    Ok(Part {
        content: Content::Result(ToolResult {
            call,
            name,
            parts,
            is_error: false,
            is_custom: false,
        }),
        cache: None,
        at,
    })
}

fn tools<'a>(body: &mut Reading<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    for (index, json) in body.list("tools")?.into_iter().enumerate() {
        let at = At::element("tools", index);
        let mut tool = Reading::of(json, at)?;
        let cache = parts::cache_mark(&mut tool)?;
        let kind = tool
            .text("type")?
            .unwrap_or_else(|| Text::plain("function"));
        let kind = match &*kind.resolved() {
            "function" => {
                let Some(function) = tool.open("function")? else {
                    return Err(tool.wrong("function", "an object"));
                };
                function_tool(function, &mut request.unknown)?
            }
            "custom" => {
                let Some(mut custom) = tool.open("custom")? else {
                    return Err(tool.wrong("custom", "an object"));
                };
                let custom_tool = ToolKind::Custom {
                    name: custom.need_text("name")?,
                    description: custom.text("description")?,
                    format: custom.json("format"),
                };
                custom.leave(&mut request.unknown);
                custom_tool
            }
            _ => ToolKind::Hosted(kind.clone()),
        };
        if !matches!(kind, ToolKind::Hosted(_)) {
            tool.leave(&mut request.unknown);
        }
        request.tools.push(Tool { kind, cache, at });
    }
    for (index, json) in body.list("functions")?.into_iter().enumerate() {
        let at = At::element("functions", index);
        let kind = function_tool(Reading::of(json, at)?, &mut request.unknown)?;
        let cache = None;
        request.tools.push(Tool { kind, cache, at });
    }
    if body.raw("web_search_options").is_some() {
        request.tools.push(Tool {
            kind: ToolKind::WebSearch,
            cache: None,
            at: At::field("web_search_options"),
        });
    }
    Ok(())
}

fn function_tool<'a>(
    mut function: Reading<'a>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<ToolKind<'a>, Error> {
    let kind = ToolKind::Function {
        name: function.need_text("name")?,
        description: function.text("description")?,
        parameters: function.object("parameters")?.map(Json::scanned),
        strict: function.flag("strict")?,
    };
    function.leave(unknown);
    Ok(kind)
}

fn settings<'a>(body: &mut Reading<'a>, request: &mut Request<'a>) -> Result<(), Error> {
    let limit = match body.count("max_completion_tokens")? {
        Some(limit) => Some(Given::new("max_completion_tokens", limit)),
        None => body
            .count("max_tokens")?
            .map(|n| Given::new("max_tokens", n)),
    };
    body.ignore(&["max_tokens"]);
    let stop = body.texts("stop")?;
    let logprobs = body.flag("logprobs")?.unwrap_or(false);
    let others = body.count("top_logprobs")?.unwrap_or(0);
    let modalities = body.json("modalities").filter(|it| *it != text_only());
    let user = match body.text("safety_identifier")? {
        Some(user) => Some(Given::new("safety_identifier", user)),
        None => body.text("user")?.map(|user| Given::new("user", user)),
    };
    body.ignore(&["user"]);
    request.settings = Settings {
        max_tokens: limit,
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        top_k: number(body, "top_k")?,
        seed: number(body, "seed")?,
        frequency_penalty: number(body, "frequency_penalty")?.filter(is_not_zero),
        presence_penalty: number(body, "presence_penalty")?.filter(is_not_zero),
        logit_bias: object(body, "logit_bias")?,
        stop: (!stop.is_empty()).then(|| Given::new("stop", stop)),
        choices: body
            .count("n")?
            .filter(|n| *n > 1)
            .map(|n| Given::new("n", n)),
        logprobs: logprobs.then(|| Given::new("logprobs", others)),
        tool_choice: tool_choice(body, &mut request.tools)?,
        parallel_tools: body
            .flag("parallel_tool_calls")?
            .filter(|flag| !flag)
            .map(|flag| Given::new("parallel_tool_calls", flag)),
        form: form(body, &mut request.unknown)?,
        reasoning: reasoning(body, &mut request.unknown)?,
        verbosity: text(body, "verbosity")?,
        user,
        metadata: object(body, "metadata")?,
        service_tier: body
            .text("service_tier")?
            .map(|tier| Given::new("service_tier", self::tier(tier))),
        cache_key: text(body, "prompt_cache_key")?,
        cache_retention: text(body, "prompt_cache_retention")?,
        modalities: modalities.map(|it| Given::new("modalities", it)),
        audio: object(body, "audio")?,
        store: body
            .flag("store")?
            .filter(|flag| *flag)
            .map(|flag| Given::new("store", flag)),
    };
    Ok(())
}

fn text_only() -> Json<'static> {
    Json::checked(r#"["text"]"#).expect("an array of one text is JSON")
}

fn number<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Option<Given<Json<'a>>>, Error> {
    Ok(body.number(key)?.map(|number| Given::new(key, number)))
}

fn text<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Option<Given<Text<'a>>>, Error> {
    Ok(body.text(key)?.map(|text| Given::new(key, text)))
}

fn object<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Option<Given<Json<'a>>>, Error> {
    let object = body.object(key)?.map(Json::scanned);
    let object = object.filter(|json| *json != Json::checked("{}").expect("JSON"));
    Ok(object.map(|json| Given::new(key, json)))
}

fn is_not_zero(given: &Given<Json<'_>>) -> bool {
    given.value.as_f64() != Some(0.0)
}

fn tier(tier: Text<'_>) -> Tier<'_> {
    match &*tier.resolved() {
        "auto" => Tier::Auto,
        "default" => Tier::Standard,
        _ => Tier::Other(tier.clone()),
    }
}

fn tool_choice<'a>(
    body: &mut Reading<'a>,
    tools: &mut Vec<Tool<'a>>,
) -> Result<Option<Given<ToolChoice<'a>>>, Error> {
    for path in ["tool_choice", "function_call"] {
        let Some(raw) = body.raw(path) else { continue };
        let choice = if is_object(raw) {
            let mut choice = Reading::of(raw, Path::field(path))?;
            match choice.open("allowed_tools")? {
                Some(allowed) => self::allowed(allowed, tools)?,
                None => ToolChoice::Named(named(&mut choice)?),
            }
        } else {
            match inside_quotes(raw) {
                Some("auto") => ToolChoice::Auto,
                Some("none") => ToolChoice::None,
                Some("required" | "any") => ToolChoice::Required,
                _ => {
                    let wanted = "\"auto\", \"none\", \"required\" or an object that names a tool";
                    return Err(body.wrong(path, wanted));
                }
            }
        };
        return Ok(Some(Given::new(path, choice)));
    }
    Ok(None)
}

/// The name in a choice of one tool.
fn named<'a>(choice: &mut Reading<'a>) -> Result<Text<'a>, Error> {
    match (choice.open("function")?, choice.open("custom")?) {
        (Some(mut tool), _) | (None, Some(mut tool)) => tool.need_text("name"),
        (None, None) => choice.need_text("name"),
    }
}

/// A choice among those tools that are allowed: the others aren't offered.
fn allowed<'a>(
    mut choice: Reading<'a>,
    tools: &mut Vec<Tool<'a>>,
) -> Result<ToolChoice<'a>, Error> {
    let at = |index| At::element("tool_choice.allowed_tools.tools", index);
    let allowed = choice.list("tools")?.into_iter().enumerate();
    let allowed = allowed.map(|(index, json)| named(&mut Reading::of(json, at(index))?));
    let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
    // The search of the web is offered elsewhere, where nothing forbids it.
    let is_allowed = |tool: &Tool<'_>| tool.name().is_none_or(|name| allowed.contains(name));
    Tool::offer_only(tools, is_allowed);
    match choice.word("mode")?.as_deref() {
        Some("required") => Ok(ToolChoice::Required),
        Some("auto") | None => Ok(ToolChoice::Auto),
        Some(_) => Err(choice.wrong("mode", "\"auto\" or \"required\"")),
    }
}

fn form<'a>(
    body: &mut Reading<'a>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Option<Given<Form<'a>>>, Error> {
    let Some(mut format) = body.open("response_format")? else {
        return Ok(None);
    };
    let form = match format.word("type")?.as_deref() {
        Some("text") => return Ok(None),
        Some("json_object") => Form::Object,
        Some("json_schema") => {
            let Some(mut inner) = format.open("json_schema")? else {
                return Err(format.wrong("json_schema", "an object"));
            };
            let Some(schema) = inner.object("schema")? else {
                return Err(inner.wrong("schema", "an object"));
            };
            let form = Form::Schema {
                name: inner.text("name")?,
                description: inner.text("description")?,
                schema: Json::scanned(schema),
                strict: inner.flag("strict")?,
            };
            inner.leave(unknown);
            form
        }
        _ => return Err(format.wrong("type", "\"text\", \"json_object\" or \"json_schema\"")),
    };
    format.leave(unknown);
    Ok(Some(Given::new("response_format", form)))
}

/// `reasoning_effort`, or what clients of other providers send in its place:
/// OpenRouter's `reasoning`, Anthropic's `thinking`.
fn reasoning<'a>(
    body: &mut Reading<'a>,
    unknown: &mut Vec<(String, Json<'a>)>,
) -> Result<Option<Given<Reasoning<'a>>>, Error> {
    let mut reasoning = Reasoning::default();
    let mut path = None;
    if let Some(word) = body.word("reasoning_effort")? {
        reasoning.effort = Some(Effort::from_word(&word).ok_or_else(|| {
            body.wrong(
                "reasoning_effort",
                "one of none, minimal, low, medium, high, xhigh and max",
            )
        })?);
        path = Some("reasoning_effort");
    }
    if let Some(mut given) = body.open("reasoning")? {
        if let Some(word) = given.word("effort")? {
            reasoning.effort =
                Some(Effort::from_word(&word).ok_or_else(|| given.wrong("effort", "an effort"))?);
        }
        if let Some(most) = given.count("max_tokens")? {
            reasoning.thinking = Some(Thinking::Budget(most));
        }
        match given.flag("enabled")? {
            Some(true) if reasoning == Reasoning::default() => {
                reasoning.thinking = Some(Thinking::Auto);
            }
            Some(false) => reasoning.thinking = Some(Thinking::Off),
            _ => {}
        }
        if given.flag("exclude")? == Some(true) {
            reasoning.summary = Some(Text::plain("none"));
        }
        given.leave(unknown);
        path.get_or_insert("reasoning");
    }
    if let Some(mut given) = body.open("thinking")? {
        reasoning.thinking = match given.word("type")?.as_deref() {
            Some("disabled") => Some(Thinking::Off),
            Some("adaptive") => Some(Thinking::Auto),
            _ => match given.count("budget_tokens")? {
                Some(budget) => Some(Thinking::Budget(budget)),
                None => Some(Thinking::Auto),
            },
        };
        given.leave(unknown);
        path.get_or_insert("thinking");
    }
    let says = path.filter(|_| reasoning != Reasoning::default());
    Ok(says.map(|path| Given::new(path, reasoning)))
}
