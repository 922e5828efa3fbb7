/* device/input/codes.h: those of Linux' input event codes that we use by name.
 *
 * The numbers are Linux' for ever: virtio-input carries them, whatever system
 * runs here. <linux/input-event-codes.h> is not available everywhere, hence
 * this file. Names that a user writes are looked up by names.h, which knows
 * them all. */
#ifndef VUB_DEVICE_INPUT_CODES_H
#define VUB_DEVICE_INPUT_CODES_H

#define EV_SYN 0x00
#define EV_KEY 0x01
#define EV_REL 0x02
#define EV_ABS 0x03
#define EV_MSC 0x04
#define EV_SW 0x05
#define EV_LED 0x11
#define EV_SND 0x12
#define EV_REP 0x14
#define EV_FF 0x15
#define EV_PWR 0x16
#define EV_FF_STATUS 0x17

#define SYN_REPORT 0
#define SYN_CONFIG 1
#define SYN_MT_REPORT 2
#define SYN_DROPPED 3

#define INPUT_PROP_POINTER 0x00
#define INPUT_PROP_DIRECT 0x01

#define BUS_VIRTUAL 0x06

/* How many codes a type has. */
#define KEY_CNT 0x300
#define REL_CNT 0x10
#define ABS_CNT 0x40

#define KEY_ESC 1
#define KEY_1 2
#define KEY_2 3
#define KEY_3 4
#define KEY_4 5
#define KEY_5 6
#define KEY_6 7
#define KEY_7 8
#define KEY_8 9
#define KEY_9 10
#define KEY_0 11
#define KEY_MINUS 12
#define KEY_EQUAL 13
#define KEY_BACKSPACE 14
#define KEY_TAB 15
#define KEY_Q 16
#define KEY_W 17
#define KEY_E 18
#define KEY_R 19
#define KEY_T 20
#define KEY_Y 21
#define KEY_U 22
#define KEY_I 23
#define KEY_O 24
#define KEY_P 25
#define KEY_LEFTBRACE 26
#define KEY_RIGHTBRACE 27
#define KEY_ENTER 28
#define KEY_LEFTCTRL 29
#define KEY_A 30
#define KEY_S 31
#define KEY_D 32
#define KEY_F 33
#define KEY_G 34
#define KEY_H 35
#define KEY_J 36
#define KEY_K 37
#define KEY_L 38
#define KEY_SEMICOLON 39
#define KEY_APOSTROPHE 40
#define KEY_GRAVE 41
#define KEY_LEFTSHIFT 42
#define KEY_BACKSLASH 43
#define KEY_Z 44
#define KEY_X 45
#define KEY_C 46
#define KEY_V 47
#define KEY_B 48
#define KEY_N 49
#define KEY_M 50
#define KEY_COMMA 51
#define KEY_DOT 52
#define KEY_SLASH 53
#define KEY_LEFTALT 56
#define KEY_SPACE 57
#define KEY_102ND 86
#define KEY_RIGHTALT 100
#define KEY_DELETE 111
#define KEY_MICMUTE 248 /* the last of a keyboard's; buttons follow */
#define BTN_LEFT 0x110
#define BTN_RIGHT 0x111
#define BTN_MIDDLE 0x112
#define BTN_SIDE 0x113
#define BTN_EXTRA 0x114
#define BTN_TOOL_FINGER 0x145
#define BTN_TOUCH 0x14a

#define REL_X 0x00
#define REL_Y 0x01
#define REL_HWHEEL 0x06
#define REL_WHEEL 0x08
#define REL_WHEEL_HI_RES 0x0b
#define REL_HWHEEL_HI_RES 0x0c

#define ABS_X 0x00
#define ABS_Y 0x01
#define ABS_MT_SLOT 0x2f
#define ABS_MT_TOUCH_MAJOR 0x30 /* the first that a contact has */
#define ABS_MT_POSITION_X 0x35
#define ABS_MT_POSITION_Y 0x36
#define ABS_MT_TRACKING_ID 0x39
#define ABS_MT_TOOL_Y 0x3d /* the last */

#define MSC_SCAN 0x04

#define LED_NUML 0x00
#define LED_CAPSL 0x01
#define LED_SCROLLL 0x02
#define LED_COMPOSE 0x03
#define LED_KANA 0x04
#define LED_CNT 0x10

#define REP_DELAY 0x00
#define REP_PERIOD 0x01

#define FF_GAIN 0x60
#define FF_AUTOCENTER 0x61

#endif
