/// <reference types="vite/client" />

interface ImportMetaEnv {
  /** Where the API is; http://localhost:5000 unless told. */
  readonly VITE_API_URL?: string;
}
