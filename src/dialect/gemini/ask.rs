//! Reads a Gemini call.
//!
//! Its names may be spelled in either way that protobuf's JSON knows.

mod contents;

use super::parts;
use super::schema::json_schema;
use crate::dialect::ir::{
    At, Effort, Form, Given, Json, Reasoning, Request, Role, Settings, Text, Thinking, Tier, Tool,
    ToolChoice, ToolKind, Turn,
};
use crate::dialect::reading::Reading;
use crate::error::Error;
use contents::Contents;

type Unknown<'a> = Vec<(String, Json<'a>)>;

pub(super) fn decode(body: &str) -> Result<Request<'_>, Error> {
    let mut body = Reading::body(body)?.camel();
    let mut request = Request {
        // Both are in the path; some calls that hold a call name the model.
        model: body.text("model")?.unwrap_or_default(),
        include_usage: true,
        ..Request::default()
    };
    if let Some(raw) = body.raw("systemInstruction") {
        let at = At::field("systemInstruction");
        let mut content = Reading::of(raw, at)?;
        content.ignore(&["role"]);
        let parts = Contents::default().parts(content, at, &mut request)?;
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        request.say(Turn {
            role: Role::System,
            parts,
            at,
            ..Turn::default()
        });
    }
    let mut contents = Contents::default();
    for (index, json) in parts::elements_of(&mut body, "contents")?
        .into_iter()
        .enumerate()
    {
        contents.turns(json, index, &mut request)?;
    }
    let mode = calling(&mut body, &mut request.unknown)?;
    for (index, json) in body.list("tools")?.into_iter().enumerate() {
        tools(json, index, mode.is_strict, &mut request)?;
    }
    settings(&mut body, mode.choice, &mut request)?;
    body.leave(&mut request.unknown);
    Ok(request)
}

/// How tools are to be called.
#[derive(Default)]
struct Mode<'a> {
    choice: Option<ToolChoice<'a>>,
    is_strict: bool,
}

fn calling<'a>(body: &mut Reading<'a>, unknown: &mut Unknown<'a>) -> Result<Mode<'a>, Error> {
    let Some(config) = body.open("toolConfig")? else {
        return Ok(Mode::default());
    };
    let mut config = config.camel();
    let Some(calling) = config.open("functionCallingConfig")? else {
        config.leave(unknown);
        return Ok(Mode::default());
    };
    let mut calling = calling.camel();
    let path = calling.path("allowedFunctionNames").to_string();
    let mut names = calling.texts("allowedFunctionNames")?;
    let mode = calling.word("mode")?.unwrap_or_default().to_uppercase();
    let choice = match &*mode {
        "" | "MODE_UNSPECIFIED" => None,
        "AUTO" | "VALIDATED" => Some(ToolChoice::Auto),
        "NONE" => Some(ToolChoice::None),
        "ANY" if names.len() == 1 => names.pop().map(ToolChoice::Named),
        "ANY" => Some(ToolChoice::Required),
        _ => {
            let wanted = "\"AUTO\", \"ANY\", \"NONE\" or \"VALIDATED\"";
            return Err(calling.wrong("mode", wanted));
        }
    };
    // Nobody else lets some of several be called.
    if !names.is_empty() {
        unknown.push((path, Json::checked("true").expect("true is JSON")));
    }
    calling.leave(unknown);
    config.leave(unknown);
    Ok(Mode {
        choice,
        is_strict: mode == "VALIDATED",
    })
}

fn tools<'a>(
    json: &'a str,
    index: usize,
    is_strict: bool,
    request: &mut Request<'a>,
) -> Result<(), Error> {
    let at = At::element("tools", index);
    let mut tool = Reading::of(json, at)?.camel();
    for (index, json) in tool.list("functionDeclarations")?.into_iter().enumerate() {
        let at = at.within("functionDeclarations", index);
        let function = Reading::of(json, at)?.camel();
        let kind = function_tool(function, is_strict, &mut request.unknown)?;
        let cache = None;
        request.tools.push(Tool { kind, cache, at });
    }
    for key in ["googleSearch", "googleSearchRetrieval"] {
        if let Some(options) = tool.open(key)? {
            options.leave(&mut request.unknown);
            request.tools.push(Tool {
                kind: ToolKind::WebSearch,
                cache: None,
                at,
            });
        }
    }
    for key in [
        "codeExecution",
        "urlContext",
        "googleMaps",
        "fileSearch",
        "computerUse",
    ] {
        if tool.raw(key).is_some() {
            request.tools.push(Tool {
                kind: ToolKind::Hosted(Text::plain(key)),
                cache: None,
                at,
            });
        }
    }
    tool.leave(&mut request.unknown);
    Ok(())
}

fn function_tool<'a>(
    mut function: Reading<'a>,
    is_strict: bool,
    unknown: &mut Unknown<'a>,
) -> Result<ToolKind<'a>, Error> {
    let of_google = function.object("parameters")?.map(json_schema);
    let parameters = function.object("parametersJsonSchema")?.map(Json::scanned);
    let kind = ToolKind::Function {
        name: function.need_text("name")?,
        description: function.text("description")?,
        parameters: parameters.or(of_google),
        strict: is_strict.then_some(true),
    };
    function.leave(unknown);
    Ok(kind)
}

fn settings<'a>(
    body: &mut Reading<'a>,
    choice: Option<ToolChoice<'a>>,
    request: &mut Request<'a>,
) -> Result<(), Error> {
    let unknown = &mut request.unknown;
    let mut settings = Settings {
        tool_choice: choice
            .map(|choice| Given::new("toolConfig.functionCallingConfig.mode", choice)),
        metadata: body
            .object("labels")?
            .map(|labels| Given::new("labels", Json::scanned(labels))),
        service_tier: tier(body)?,
        store: body
            .flag("store")?
            .filter(|flag| *flag)
            .map(|flag| Given::new("store", flag)),
        ..Settings::default()
    };
    if let Some(config) = body.open("generationConfig")? {
        generation(config.camel(), &mut settings, unknown)?;
    }
    request.settings = settings;
    Ok(())
}

fn tier<'a>(body: &mut Reading<'a>) -> Result<Option<Given<Tier<'a>>>, Error> {
    let Some(tier) = body.text("serviceTier")? else {
        return Ok(None);
    };
    let word = tier.resolved().to_ascii_lowercase();
    let tier = match &*word {
        "unspecified" => return Ok(None),
        "standard" => Tier::Standard,
        _ => Tier::Other(Text::owned(&word)),
    };
    Ok(Some(Given::new("serviceTier", tier)))
}

fn generation<'a>(
    mut config: Reading<'a>,
    settings: &mut Settings<'a>,
    unknown: &mut Unknown<'a>,
) -> Result<(), Error> {
    let mut number = |key, path| -> Result<Option<Given<Json<'a>>>, Error> {
        Ok(config.number(key)?.map(|number| Given::new(path, number)))
    };
    let is_not_zero = |given: &Given<Json<'_>>| given.value.as_f64() != Some(0.0);
    settings.temperature = number("temperature", "generationConfig.temperature")?;
    settings.top_p = number("topP", "generationConfig.topP")?;
    settings.top_k = number("topK", "generationConfig.topK")?;
    settings.seed = number("seed", "generationConfig.seed")?;
    settings.frequency_penalty =
        number("frequencyPenalty", "generationConfig.frequencyPenalty")?.filter(is_not_zero);
    settings.presence_penalty =
        number("presencePenalty", "generationConfig.presencePenalty")?.filter(is_not_zero);
    settings.max_tokens = config
        .count("maxOutputTokens")?
        .map(|n| Given::new("generationConfig.maxOutputTokens", n));
    let stop = config.texts("stopSequences")?;
    settings.stop = (!stop.is_empty()).then(|| Given::new("generationConfig.stopSequences", stop));
    settings.choices = config
        .count("candidateCount")?
        .filter(|n| *n > 1)
        .map(|n| Given::new("generationConfig.candidateCount", n));
    let others = config.count("logprobs")?.unwrap_or(0);
    settings.logprobs = config
        .flag("responseLogprobs")?
        .filter(|flag| *flag)
        .map(|_| Given::new("generationConfig.responseLogprobs", others));
    settings.form = form(&mut config)?;
    settings.reasoning = reasoning(&mut config, unknown)?;
    settings.modalities = modalities(&mut config)?;
    config.leave(unknown);
    Ok(())
}

fn form<'a>(config: &mut Reading<'a>) -> Result<Option<Given<Form<'a>>>, Error> {
    let of_google = config.object("responseSchema")?.map(json_schema);
    let schema = match config.json("responseJsonSchema") {
        None => of_google,
        schema => schema,
    };
    let is_json = match config.word("responseMimeType")?.as_deref() {
        None | Some("" | "text/plain") => false,
        Some("application/json") => true,
        Some(_) => {
            let wanted = "\"text/plain\" or \"application/json\"";
            return Err(config.wrong("responseMimeType", wanted));
        }
    };
    let form = match schema {
        Some(schema) => Form::Schema {
            name: None,
            description: None,
            schema,
            strict: Some(true),
        },
        None if is_json => Form::Object,
        None => return Ok(None),
    };
    Ok(Some(Given::new(
        "generationConfig.responseJsonSchema",
        form,
    )))
}

/// Whether thoughts are shown is said either way: they aren't where nothing
/// is said.
fn reasoning<'a>(
    config: &mut Reading<'a>,
    unknown: &mut Unknown<'a>,
) -> Result<Option<Given<Reasoning<'a>>>, Error> {
    let Some(thinking) = config.open("thinkingConfig")? else {
        return Ok(None);
    };
    let mut thinking = thinking.camel();
    let budget = thinking.number("thinkingBudget")?;
    let level = thinking.word("thinkingLevel")?;
    let shows = thinking.flag("includeThoughts")?.unwrap_or(false);
    let reasoning = Reasoning {
        thinking: match budget.as_ref().and_then(Json::as_f64) {
            None => None,
            Some(0.0) => Some(Thinking::Off),
            Some(budget) if budget < 0.0 => Some(Thinking::Auto),
            Some(budget) => Some(Thinking::Budget(budget as u64)),
        },
        effort: match level.map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("thinking_level_unspecified") => None,
            Some(word) => match Effort::from_word(word) {
                None => return Err(thinking.wrong("thinkingLevel", "a level of thinking")),
                effort => effort,
            },
        },
        summary: Some(Text::plain(if shows { "auto" } else { "none" })),
    };
    thinking.leave(unknown);
    Ok(Some(Given::new(
        "generationConfig.thinkingConfig",
        reasoning,
    )))
}

/// In lower case, as others have them; text alone goes without saying.
fn modalities(config: &mut Reading<'_>) -> Result<Option<Given<Json<'static>>>, Error> {
    let words: Vec<String> = config
        .texts("responseModalities")?
        .into_iter()
        .map(|word| word.resolved().to_ascii_lowercase())
        .collect();
    if words.is_empty() || words == ["text"] {
        return Ok(None);
    }
    let list = serde_json::to_string(&words).unwrap_or_default();
    let json = Json::checked(&list).map(Json::into_owned);
    Ok(json.map(|json| Given::new("generationConfig.responseModalities", json)))
}
