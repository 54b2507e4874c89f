/// <reference types="vite/client" />

interface ImportMetaEnv {
  /** The URL of the API. Defaults to http://localhost:5000. */
  readonly VITE_API_URL?: string;
}
