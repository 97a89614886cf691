//! `docs/providers.md`, written from the rows.

use std::fmt::Write;

use super::{PRESETS, Preset, SIM, Scheme};

/// The page.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(
        "| name | key | base URL | dialect | model of `/generate` | bare names | source |\n|---|---|---|---|---|---|---|\n",
    );
    let known = PRESETS.iter().filter(|preset| preset.name != SIM);
    for preset in known.clone() {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "{}", row(preset));
    }
    page.push_str(QUIRKS);
    for preset in known {
        for (quirk, source) in preset.quirks {
            let _ = writeln!(page, "| `{}` | {quirk} | {source} |", preset.name);
        }
    }
    page.push_str(AZURE);
    page
}

fn row(preset: &Preset) -> String {
    let key = match (preset.key_variable, preset.auth) {
        ("", Scheme::None) => "none".to_owned(),
        ("", _) => "where it wants one".to_owned(),
        (variable, Scheme::Header(header)) => format!("`{variable}`, in `{header}`"),
        (variable, _) => format!("`{variable}`"),
    };
    let base = match (preset.base_url, preset.base_variable) {
        ("", variable) => format!("in `{variable}`"),
        (url, "") => format!("`{url}`"),
        (url, variable) => format!("`{url}`, or in `{variable}`"),
    };
    let mut dialect = preset.dialect.as_str().to_owned();
    for (also, url) in preset.also {
        let _ = write!(dialect, "; `{}` at `{url}`", also.as_str());
    }
    let families: Vec<_> = preset
        .families
        .iter()
        .map(|start| format!("`{start}…`"))
        .collect();
    format!(
        "| `{}` | {key} | {base} | {dialect} | {} | {} | {} |",
        preset.name,
        preset
            .default_model
            .map(|model| format!("`{model}`"))
            .unwrap_or_default(),
        families.join(" "),
        preset.source
    )
}

const INTRODUCTION: &str = "\
# Providers

<!-- Written from src/provider/presets/. To change it, change that and run
     `NOWAIT_BLESS=1 cargo test --lib provider::`. -->

These need nothing but a key, in the variable named here or as `[providers.NAME] api_key`; those on
your own machine not even that. Any other server that speaks one of the dialects needs a `base_url`:

```toml
[providers.my-server]
base_url = \"http://10.0.0.5:8000/v1\"
```

Where a row names another dialect, `[providers.NAME] dialect = \"…\"` asks for it. Models are called
`NAME/MODEL`; a bare name that begins as one of the row's bare names do is its own.

";

const QUIRKS: &str = "
## What is particular about them

Translation between dialects writes calls as the provider takes them: a field has another name, or is
left out and named in `x-nowait-dropped` (or the call is refused, under `on_loss = \"reject\"`).

A call in the provider's own dialect is forwarded byte for byte all the same, with two exceptions, for
words that the provider refuses and that have another word of exactly the same meaning: where
`max_completion_tokens` is refused it is called `max_tokens`, and where the role `developer` is refused it is
called `system`. Only these words change. Anything else a provider refuses gets the provider's own error.

`[providers.NAME.quirks]` says the same of a server nowait doesn't know, or corrects a row
([configuration](configuration.md)). What a row says is of the dialect it names first.

| provider | quirk | source |
|---|---|---|
";

const AZURE: &str = "
## Azure OpenAI

`AZURE_OPENAI_ENDPOINT` (or `base_url`) is the resource, as Azure's SDKs take it, and models are called by
the names of its deployments:

```toml
[providers.azure]
base_url = \"https://RESOURCE.openai.azure.com\"
api_key = \"${AZURE_OPENAI_API_KEY}\"
# api_version = \"2024-10-21\"
```

Without a version calls go to `/openai/v1/…`. With a date, in `api_version` or `OPENAI_API_VERSION`, chat,
completions and embeddings go to `/openai/deployments/DEPLOYMENT/…?api-version=DATE`, and all else to
`/openai/…?api-version=DATE`; a caller's own `api-version` goes before it. `preview` goes with `/openai/v1`.
A `base_url` with a path of its own, such as `…/openai/deployments/NAME` or `…/models`, is taken as it is.

The key goes in `api-key`. `auth = \"bearer\"` sends it as a bearer, which is for tokens of Microsoft Entra;
without a key the caller's own is passed through, either way. A provider of any name whose host is Azure's
is treated the same. `/azure/…` passes anything else, with or without `/openai` in front.
";
