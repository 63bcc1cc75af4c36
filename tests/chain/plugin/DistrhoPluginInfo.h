// The facts that DPF asks of a plug-in: a window or none, stereo, with latency and a parameter.
#pragma once
#define DISTRHO_PLUGIN_BRAND "rtdenoise"
#define DISTRHO_PLUGIN_NAME "LateGain"
#define DISTRHO_PLUGIN_URI "urn:rtdenoise:late-gain"
#define DISTRHO_PLUGIN_CLAP_ID "rtdenoise.late-gain"
#define DISTRHO_PLUGIN_BRAND_ID Rtdn
#define DISTRHO_PLUGIN_UNIQUE_ID LtGn
#ifdef WITH_WINDOW  // of its own making, so that no library for windows is needed
#define DISTRHO_PLUGIN_HAS_UI 1
#define DISTRHO_PLUGIN_HAS_EXTERNAL_UI 1
#define DISTRHO_PLUGIN_HAS_EMBED_UI 1
#else
#define DISTRHO_PLUGIN_HAS_UI 0
#endif
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_WANT_LATENCY 1
