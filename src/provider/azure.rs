//! Azure OpenAI's two forms of URLs.
//!
//! Its first API names the deployment in the path and a dated version in the
//! query (`/openai/deployments/NAME/chat/completions?api-version=2024-10-21`);
//! the later one is OpenAI's own, below `/openai/v1`, and wants no version
//! (learn.microsoft.com/azure/foundry/openai/api-version-lifecycle). Which of
//! them is meant shows in the version, as it does in Microsoft's own SDKs.

use super::BaseUrl;

/// Whether `host` is one of Azure's, in any of its clouds.
pub fn is_host(host: &str) -> bool {
    [
        ".openai.azure.",
        ".services.ai.azure.",
        ".cognitiveservices.azure.",
    ]
    .iter()
    .any(|part| host.contains(part))
}

/// Where calls go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What their paths begin with.
    pub base: BaseUrl,
    /// The version in their query.
    pub version: Option<String>,
    /// Whether they name the deployment in their path.
    pub deployments: bool,
}

/// Where calls go that are for `base`: a resource, or already more than that.
pub fn place(base: BaseUrl, version: Option<String>) -> Place {
    let is_dated = version
        .as_ref()
        .is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()));
    let is_resource = matches!(&*base.prefix, "" | "/openai");
    let prefix = match (is_resource, is_dated) {
        (true, true) => "/openai".to_owned(),
        (true, false) => "/openai/v1".to_owned(),
        (false, _) => base.prefix.clone(),
    };
    // The later API knows no dates.
    let knows = !(is_dated && prefix.ends_with("/openai/v1"));
    Place {
        base: BaseUrl { prefix, ..base },
        version: version.filter(|_| knows),
        deployments: is_resource && is_dated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_which_form_is_meant() {
        let dated = Some("2024-10-21");
        let resource = "https://r.openai.azure.com";
        let v1 = "/openai/v1";
        let rows = [
            ("", None, v1, None, false),
            ("/openai", None, v1, None, false),
            ("", dated, "/openai", dated, true),
            ("", Some("preview"), v1, Some("preview"), false),
            ("/openai/v1", dated, v1, None, false),
            (
                "/openai/deployments/mine",
                dated,
                "/openai/deployments/mine",
                dated,
                false,
            ),
            ("/models", dated, "/models", dated, false),
        ];
        for (path, version, prefix, kept, deployments) in rows {
            let base: BaseUrl = format!("{resource}{path}").parse().expect(path);
            assert!(is_host(&base.host));
            let place = place(base, version.map(str::to_owned));
            assert_eq!(
                (
                    &*place.base.prefix,
                    place.version.as_deref(),
                    place.deployments
                ),
                (prefix, kept, deployments),
                "{path} {version:?}"
            );
        }
        assert!(!is_host("openai.com") && !is_host("azure.example"));
    }
}
