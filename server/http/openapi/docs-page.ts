// The /api/docs page, the script that starts Swagger UI, and the control names and contrast that Swagger UI lacks.

/** The page itself. Its links are relative: a proxy that strips a prefix would break absolute ones. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Skywork API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/docs.css">
</head>
<body>
<div id="docs"></div>
<noscript><p>This page needs JavaScript; the description itself is at <a href="openapi.json">openapi.json</a>.</p></noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;

/** Starts Swagger UI and adds what it leaves out: names for its controls, and focus for its scrolling code. */
export const START = `// A link inside the button that opens an operation is one control too many; the address follows the open operation anyway.
const PlainPath = {
  wrapComponents: {
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
  },
};

SwaggerUIBundle({
  url: new URL("openapi.json", location.href).href,
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  plugins: [PlainPath],
});

const MISSING = [
  ["#servers", "aria-label", "Server"],
  [".body-param__text", "aria-label", "Request body"],
  [".close-modal", "aria-label", "Close"],
  [".auth-btn-wrapper .authorize", "aria-label", "Authorize"],
  [".microlight", "tabindex", "0"],
];

new MutationObserver(() => {
  for (const [selector, attribute, value] of MISSING)
    for (const element of document.querySelectorAll(selector))
      if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
}).observe(document.getElementById("docs"), { childList: true, subtree: true });
`;

/** Darker variants of Swagger UI's own colours, for a text contrast of 4.5 : 1 (WCAG 2.2, 1.4.3). */
export const STYLE = `.swagger-ui .info .title small { background: #5a606c; }
.swagger-ui .info .title small.version-stamp { background: #4a6a00; }
.swagger-ui .info .url, .swagger-ui .info a, .swagger-ui a { color: #2563b0; }
.swagger-ui .opblock.opblock-get .opblock-summary-method { background: #1b69b6; }
.swagger-ui .opblock.opblock-post .opblock-summary-method { background: #1a7a4c; }
.swagger-ui .opblock.opblock-put .opblock-summary-method { background: #985500; }
.swagger-ui .opblock.opblock-delete .opblock-summary-method { background: #c81e1e; }
.swagger-ui .opblock.opblock-patch .opblock-summary-method { background: #0f766e; }
.swagger-ui .btn.authorize { color: #1a7a4c; border-color: #1a7a4c; }
.swagger-ui .btn.execute { background: #2563b0; border-color: #2563b0; }
.swagger-ui .download-contents { background: #5a606c; }
.swagger-ui .microlight span[style*="211, 99, 99"] { color: #f29a9a !important; }
.swagger-ui .btn.cancel { color: #c81e1e; border-color: #c81e1e; }
`;
