package dev.pocketfed.client.android

import android.content.Context
import dev.pocketfed.client.participation.Attestor
import dev.pocketfed.client.participation.Event
import dev.pocketfed.client.participation.Surroundings

/** What a client on a phone is surrounded by; [observe] is told what it does. */
public fun phoneSurroundings(
    context: Context,
    attestor: Attestor? = null,
    observe: (Event) -> Unit = {},
): Surroundings = Surroundings(
    conditions = PhoneConditions(context),
    attestor = attestor,
    bundled = BundledAssets(context.assets),
    clock = AndroidClock(context),
    observe = observe,
)
