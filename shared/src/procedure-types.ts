// Written by `npm run types:write` from the contract (contract.ts); do not edit.
import type { Metadata } from "./credit.ts";

/** Inputs and outputs of `auth`. */
export interface AuthProcedures {
  config: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      providers: {
        id: "google";
        url: string;
      }[];
      sandbox: boolean;
    };
  };
  refresh: {
    kind: "mutation";
    input:
      | {
          refreshToken?: string | undefined;
        }
      | undefined;
    output: {
      accessToken: string;
      expiresAt: string;
      refreshToken?: string | undefined;
    };
  };
  logout: {
    kind: "mutation";
    input:
      | {
          refreshToken?: string | undefined;
        }
      | undefined;
    output: Record<string, never>;
  };
  logoutAll: {
    kind: "mutation";
    input: Record<string, never> | undefined;
    output: {
      revoked: number;
    };
  };
  me: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        avatar: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        createdAt: string;
      };
    };
  };
  sessions: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      sessions: {
        id: string;
        current: boolean;
        userAgent: string | null;
        ipAddress: string | null;
        createdAt: string;
        lastUsedAt: string;
        expiresAt: string;
      }[];
    };
  };
  revokeSession: {
    kind: "mutation";
    input: {
      sessionId: string;
    };
    output: Record<string, never>;
  };
}

/** Inputs and outputs of `user`. */
export interface UserProcedures {
  profile: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        avatar: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        createdAt: string;
      };
    };
  };
  update: {
    kind: "mutation";
    input: {
      name?: string | undefined;
      avatar?: string | null | undefined;
    };
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        avatar: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        createdAt: string;
      };
    };
  };
  export: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: Record<string, unknown>;
  };
  delete: {
    kind: "mutation";
    input: {
      confirmEmail: string;
    };
    output: Record<string, never>;
  };
}

/** Inputs and outputs of `credit`. */
export interface CreditProcedures {
  balance: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      credits: number;
      held: number;
      available: number;
      grants: {
        id: string;
        source: string;
        remaining: number;
        expiresAt: string | null;
      }[];
    };
  };
  history: {
    kind: "query";
    input:
      | {
          limit?: number | undefined;
          offset?: number | undefined;
          cursor?: string | undefined;
          type?:
            | "SIGNUP"
            | "PURCHASE"
            | "SUBSCRIPTION"
            | "USAGE"
            | "REFUND"
            | "DISPUTE"
            | "DISPUTE_REVERSAL"
            | "EXPIRY"
            | "ADMIN_ADJUST"
            | undefined;
        }
      | undefined;
    output: {
      logs: {
        id: string;
        seq: number;
        amount: number;
        balance: number;
        type:
          | "SIGNUP"
          | "PURCHASE"
          | "SUBSCRIPTION"
          | "USAGE"
          | "REFUND"
          | "DISPUTE"
          | "DISPUTE_REVERSAL"
          | "EXPIRY"
          | "ADMIN_ADJUST";
        feature: string | null;
        description: string | null;
        createdAt: string;
      }[];
      total: number;
      limit: number;
      offset: number;
      nextCursor: string | null;
    };
  };
  costs: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      version: string;
      features: {
        feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
        credits: number;
      }[];
    };
  };
  spend: {
    kind: "mutation";
    input: {
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      idempotencyKey: string;
      metadata?: Metadata | undefined;
    };
    output: {
      transactionId: string;
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      charged: number;
      balance: number;
      priceVersion: string;
      replayed: boolean;
    };
  };
  usage: {
    kind: "query";
    input:
      | {
          from?: string | undefined;
          to?: string | undefined;
          timeZone?: string | undefined;
        }
      | undefined;
    output: {
      totalCredits: number;
      byFeature: {
        feature: string;
        credits: number;
        calls: number;
      }[];
      daily: {
        date: string;
        credits: number;
      }[];
      runsOutOn: string | null;
    };
  };
  onChange: {
    kind: "subscription";
    input:
      | {
          lastEventId?: string | null | undefined;
        }
      | undefined;
    output: {
      credits: number;
      held: number;
      available: number;
      seq: number;
    };
  };
}

/** Inputs and outputs of `payment`. */
export interface PaymentProcedures {
  packages: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      packages: {
        id: string;
        name: string;
        credits: number;
        price: number;
        currency: string;
      }[];
    };
  };
  checkout: {
    kind: "mutation";
    input: {
      packageId: string;
    };
    output: {
      sessionId: string;
      checkoutUrl: string;
    };
  };
  confirm: {
    kind: "mutation";
    input: {
      sessionId: string;
    };
    output: {
      status: "PENDING" | "SUCCESS" | "FAILED" | "REFUNDED" | "PARTIALLY_REFUNDED" | "DISPUTED";
      creditsAdded: number;
      balance: number;
    };
  };
  history: {
    kind: "query";
    input:
      | {
          limit?: number | undefined;
          offset?: number | undefined;
        }
      | undefined;
    output: {
      payments: {
        id: string;
        amount: number;
        currency: string;
        status: "PENDING" | "SUCCESS" | "FAILED" | "REFUNDED" | "PARTIALLY_REFUNDED" | "DISPUTED";
        creditsPurchased: number;
        refundedAmount: number;
        createdAt: string;
      }[];
      total: number;
      limit: number;
      offset: number;
    };
  };
  plans: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      plans: {
        id: string;
        tier: string;
        name: string;
        credits: number;
        price: number;
        currency: string;
        interval: "month" | "year";
      }[];
    };
  };
  subscribe: {
    kind: "mutation";
    input: {
      planId: string;
    };
    output: {
      sessionId: string;
      checkoutUrl: string;
    };
  };
  subscription: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      subscription: {
        id: string;
        planId: string;
        tier: string;
        interval: "month" | "year";
        status: string;
        credits: number;
        price: number;
        currency: string;
        currentPeriodStart: string;
        currentPeriodEnd: string;
        cancelAtPeriodEnd: boolean;
        cancelAt: string | null;
        pendingPlan: {
          planId: string;
          name: string;
          effectiveAt: string;
        } | null;
      } | null;
    };
  };
  previewPlanChange: {
    kind: "query";
    input: {
      planId: string;
    };
    output: {
      amountDue: number;
      currency: string;
      creditsNow: number;
      effectiveAt: string;
      previewToken: string;
    };
  };
  changePlan: {
    kind: "mutation";
    input: {
      planId: string;
      previewToken: string;
    };
    output: {
      subscription: {
        id: string;
        planId: string;
        tier: string;
        interval: "month" | "year";
        status: string;
        credits: number;
        price: number;
        currency: string;
        currentPeriodStart: string;
        currentPeriodEnd: string;
        cancelAtPeriodEnd: boolean;
        cancelAt: string | null;
        pendingPlan: {
          planId: string;
          name: string;
          effectiveAt: string;
        } | null;
      };
    };
  };
  cancelPlanChange: {
    kind: "mutation";
    input: Record<string, never> | undefined;
    output: {
      subscription: {
        id: string;
        planId: string;
        tier: string;
        interval: "month" | "year";
        status: string;
        credits: number;
        price: number;
        currency: string;
        currentPeriodStart: string;
        currentPeriodEnd: string;
        cancelAtPeriodEnd: boolean;
        cancelAt: string | null;
        pendingPlan: {
          planId: string;
          name: string;
          effectiveAt: string;
        } | null;
      };
    };
  };
  cancelSubscription: {
    kind: "mutation";
    input: Record<string, never> | undefined;
    output: {
      subscription: {
        id: string;
        planId: string;
        tier: string;
        interval: "month" | "year";
        status: string;
        credits: number;
        price: number;
        currency: string;
        currentPeriodStart: string;
        currentPeriodEnd: string;
        cancelAtPeriodEnd: boolean;
        cancelAt: string | null;
        pendingPlan: {
          planId: string;
          name: string;
          effectiveAt: string;
        } | null;
      };
    };
  };
  resumeSubscription: {
    kind: "mutation";
    input: Record<string, never> | undefined;
    output: {
      subscription: {
        id: string;
        planId: string;
        tier: string;
        interval: "month" | "year";
        status: string;
        credits: number;
        price: number;
        currency: string;
        currentPeriodStart: string;
        currentPeriodEnd: string;
        cancelAtPeriodEnd: boolean;
        cancelAt: string | null;
        pendingPlan: {
          planId: string;
          name: string;
          effectiveAt: string;
        } | null;
      };
    };
  };
  portal: {
    kind: "mutation";
    input: Record<string, never> | undefined;
    output: {
      url: string;
    };
  };
  invoices: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      invoices: {
        id: string;
        number: string | null;
        status: string;
        amountDue: number;
        amountPaid: number;
        currency: string;
        createdAt: string;
        hostedInvoiceUrl: string | null;
      }[];
    };
  };
}

/** Inputs and outputs of `ai`. */
export interface AiProcedures {
  models: {
    kind: "query";
    input: Record<string, never> | undefined;
    output: {
      models: {
        feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
        model: string;
      }[];
    };
  };
  start: {
    kind: "mutation";
    input:
      | {
          feature: "chat-flash";
          messages: {
            role: "user" | "assistant";
            content: string;
          }[];
          idempotencyKey: string;
        }
      | {
          feature: "chat-pro";
          messages: {
            role: "user" | "assistant";
            content: string;
          }[];
          idempotencyKey: string;
        }
      | {
          feature: "ppt-generate";
          topic: string;
          slideCount?: number | undefined;
          idempotencyKey: string;
        }
      | {
          feature: "ppt-edit";
          deck: {
            title: string;
            slides: {
              title: string;
              bullets: string[];
              notes?: string | undefined;
            }[];
          };
          instruction: string;
          idempotencyKey: string;
        };
    output: {
      runId: string;
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      heldCredits: number;
      replayed: boolean;
    };
  };
  stream: {
    kind: "trackedSubscription";
    input: {
      runId: string;
      lastEventId?: string | undefined;
    };
    output:
      | {
          type: "text";
          text: string;
        }
      | {
          type: "slide";
          index: number;
          slide: {
            title: string;
            bullets: string[];
            notes?: string | undefined;
          };
        }
      | {
          type: "end";
          outcome: "completed" | "stopped" | "failed";
          charged: number;
          balance: number;
          code?:
            | "UNAUTHENTICATED"
            | "TOKEN_EXPIRED"
            | "SESSION_REVOKED"
            | "REFRESH_REUSED"
            | "FORBIDDEN"
            | "VALIDATION_FAILED"
            | "NOT_FOUND"
            | "INSUFFICIENT_CREDITS"
            | "IDEMPOTENCY_CONFLICT"
            | "HOLD_NOT_ACTIVE"
            | "CONFLICT"
            | "PREVIEW_STALE"
            | "RATE_LIMITED"
            | "PAYLOAD_TOO_LARGE"
            | "BATCH_TOO_LARGE"
            | "PAYMENT_PROVIDER_ERROR"
            | "AI_PROVIDER_ERROR"
            | "IDENTITY_PROVIDER_ERROR"
            | "SERVICE_UNAVAILABLE"
            | "INTERNAL"
            | undefined;
        };
  };
  stop: {
    kind: "mutation";
    input: {
      runId: string;
    };
    output: {
      outcome: "completed" | "stopped" | "failed";
      charged: number;
      balance: number;
    };
  };
  run: {
    kind: "query";
    input: {
      runId: string;
    };
    output: {
      runId: string;
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      state: "running" | "completed" | "stopped" | "failed";
      heldCredits: number;
      charged: number;
      createdAt: string;
      endedAt: string | null;
      code:
        | "UNAUTHENTICATED"
        | "TOKEN_EXPIRED"
        | "SESSION_REVOKED"
        | "REFRESH_REUSED"
        | "FORBIDDEN"
        | "VALIDATION_FAILED"
        | "NOT_FOUND"
        | "INSUFFICIENT_CREDITS"
        | "IDEMPOTENCY_CONFLICT"
        | "HOLD_NOT_ACTIVE"
        | "CONFLICT"
        | "PREVIEW_STALE"
        | "RATE_LIMITED"
        | "PAYLOAD_TOO_LARGE"
        | "BATCH_TOO_LARGE"
        | "PAYMENT_PROVIDER_ERROR"
        | "AI_PROVIDER_ERROR"
        | "IDENTITY_PROVIDER_ERROR"
        | "SERVICE_UNAVAILABLE"
        | "INTERNAL"
        | null;
    };
  };
}

/** Inputs and outputs of `service`. */
export interface ServiceProcedures {
  reserve: {
    kind: "mutation";
    input: {
      userId: string;
      feature?: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit" | undefined;
      amount?: number | undefined;
      idempotencyKey: string;
      ttlSeconds?: number | undefined;
    };
    output: {
      holdId: string;
      amount: number;
      expiresAt: string;
      available: number;
    };
  };
  settle: {
    kind: "mutation";
    input: {
      holdId: string;
      amount?: number | undefined;
    };
    output: {
      holdId: string;
      charged: number;
      transactionId: string | null;
      available: number;
    };
  };
  release: {
    kind: "mutation";
    input: {
      holdId: string;
    };
    output: {
      holdId: string;
      available: number;
    };
  };
  spend: {
    kind: "mutation";
    input: {
      userId: string;
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      idempotencyKey: string;
    };
    output: {
      transactionId: string;
      feature: "chat-flash" | "chat-pro" | "ppt-generate" | "ppt-edit";
      charged: number;
      balance: number;
      priceVersion: string;
      replayed: boolean;
    };
  };
}

/** Inputs and outputs of `admin`. */
export interface AdminProcedures {
  users: {
    kind: "query";
    input:
      | {
          search?: string | undefined;
          role?: "USER" | "ADMIN" | undefined;
          limit?: number | undefined;
          cursor?: string | undefined;
        }
      | undefined;
    output: {
      users: {
        id: string;
        email: string;
        name: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        held: number;
        disabledAt: string | null;
        deletedAt: string | null;
        createdAt: string;
      }[];
      nextCursor: string | null;
    };
  };
  user: {
    kind: "query";
    input: {
      userId: string;
      historyCursor?: string | undefined;
    };
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        held: number;
        disabledAt: string | null;
        deletedAt: string | null;
        createdAt: string;
      };
      history: {
        logs: {
          id: string;
          seq: number;
          amount: number;
          balance: number;
          type:
            | "SIGNUP"
            | "PURCHASE"
            | "SUBSCRIPTION"
            | "USAGE"
            | "REFUND"
            | "DISPUTE"
            | "DISPUTE_REVERSAL"
            | "EXPIRY"
            | "ADMIN_ADJUST";
          feature: string | null;
          description: string | null;
          createdAt: string;
        }[];
        nextCursor: string | null;
      };
      grants: {
        id: string;
        source: string;
        amount: number;
        remaining: number;
        expiresAt: string | null;
      }[];
      payments: {
        id: string;
        amount: number;
        currency: string;
        status: "PENDING" | "SUCCESS" | "FAILED" | "REFUNDED" | "PARTIALLY_REFUNDED" | "DISPUTED";
        creditsPurchased: number;
        refundedAmount: number;
        createdAt: string;
      }[];
      subscription: {
        planId: string;
        status: string;
        currentPeriodEnd: string;
      } | null;
      audit: {
        id: string;
        actorId: string | null;
        action: string;
        reason: string | null;
        createdAt: string;
      }[];
    };
  };
  adjustCredits: {
    kind: "mutation";
    input: {
      userId: string;
      amount: number;
      reason: string;
      idempotencyKey: string;
      expiresAt?: string | undefined;
    };
    output: {
      transactionId: string;
      balance: number;
      replayed: boolean;
    };
  };
  setRole: {
    kind: "mutation";
    input: {
      userId: string;
      role: "USER" | "ADMIN";
      reason?: string | undefined;
    };
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        held: number;
        disabledAt: string | null;
        deletedAt: string | null;
        createdAt: string;
      };
    };
  };
  disableUser: {
    kind: "mutation";
    input: {
      userId: string;
      reason?: string | undefined;
    };
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        held: number;
        disabledAt: string | null;
        deletedAt: string | null;
        createdAt: string;
      };
    };
  };
  enableUser: {
    kind: "mutation";
    input: {
      userId: string;
      reason?: string | undefined;
    };
    output: {
      user: {
        id: string;
        email: string;
        name: string | null;
        role: "USER" | "ADMIN";
        credits: number;
        held: number;
        disabledAt: string | null;
        deletedAt: string | null;
        createdAt: string;
      };
    };
  };
  refundPayment: {
    kind: "mutation";
    input: {
      paymentId: string;
      amount?: number | undefined;
      idempotencyKey: string;
      reason?: string | undefined;
    };
    output: {
      refundId: string;
      status: string;
      paymentStatus:
        | "PENDING"
        | "SUCCESS"
        | "FAILED"
        | "REFUNDED"
        | "PARTIALLY_REFUNDED"
        | "DISPUTED";
      refundedAmount: number;
    };
  };
  events: {
    kind: "query";
    input:
      | {
          status?: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED" | undefined;
          limit?: number | undefined;
          cursor?: string | undefined;
        }
      | undefined;
    output: {
      events: {
        id: string;
        type: string;
        status: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED";
        objectId: string | null;
        attempts: number;
        lastError: string | null;
        createdAt: string;
        receivedAt: string;
        processedAt: string | null;
      }[];
      nextCursor: string | null;
    };
  };
  replayEvent: {
    kind: "mutation";
    input: {
      eventId: string;
    };
    output: {
      eventId: string;
      status: "PENDING" | "PROCESSED" | "IGNORED" | "FAILED";
      lastError: string | null;
    };
  };
  stats: {
    kind: "query";
    input:
      | {
          from?: string | undefined;
          to?: string | undefined;
        }
      | undefined;
    output: {
      from: string;
      to: string;
      users: {
        total: number;
        created: number;
        disabled: number;
      };
      credits: {
        granted: number;
        spent: number;
        outstanding: number;
      };
      payments: {
        currency: string;
        count: number;
        amount: number;
        refundedAmount: number;
      }[];
      subscriptions: {
        live: number;
      };
      events: {
        pending: number;
        failed: number;
      };
    };
  };
}

/** Inputs and outputs of every procedure, as plain types. */
export interface ProcedureTypes {
  auth: AuthProcedures;
  user: UserProcedures;
  credit: CreditProcedures;
  payment: PaymentProcedures;
  ai: AiProcedures;
  service: ServiceProcedures;
  admin: AdminProcedures;
}
