// The few types of oidc-provider (which ships none) that the Google stand-in uses.
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  interface Interaction {
    uid: string;
    params: { [name: string]: unknown };
  }
  interface OidcContext {
    path: string;
    method: string;
    status: number;
    body: unknown;
    oidc: {
      route?: string;
      result?: { login?: { accountId: string } };
      client?: { clientId: string };
      account?: { accountId: string };
      session?: { accountId?: string };
      params?: { scope?: string };
    };
  }
  interface Grant {
    addOIDCScope(scope: string): void;
    save(): Promise<string>;
  }
  class Provider {
    constructor(issuer: string, configuration: { [name: string]: unknown });
    readonly Grant: new (given: {
      clientId: string;
      accountId: string;
    }) => Grant;
    callback(): (req: IncomingMessage, res: ServerResponse) => Promise<void>;
    use(middleware: (ctx: OidcContext, next: () => Promise<void>) => Promise<void>): void;
    interactionDetails(req: IncomingMessage, res: ServerResponse): Promise<Interaction>;
    interactionResult(
      req: IncomingMessage,
      res: ServerResponse,
      result: { [name: string]: unknown },
      options: { mergeWithLastSubmission: boolean },
    ): Promise<string>;
  }
  namespace interactionPolicy {
    class Check {
      constructor(reason: string, description: string, check: (ctx: OidcContext) => boolean);
      static REQUEST_PROMPT: true;
      static NO_NEED_TO_PROMPT: false;
    }
    interface Prompt {
      checks: Check[] & { add(check: Check): void };
    }
    function base(): Prompt[] & { get(name: string): Prompt | undefined };
  }
  export { Provider, interactionPolicy, type OidcContext };
}
